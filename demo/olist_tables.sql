-- The two files of the Olist marketing funnel, as they are.
CREATE TABLE olist_lead (mql_id text PRIMARY KEY, first_contact_date date, landing_page_id text, origin text);
CREATE TABLE olist_deal (mql_id text PRIMARY KEY, seller_id text, sdr_id text, sr_id text, won_date timestamp,
                         business_segment text, lead_type text, lead_behaviour_profile text, has_company text,
                         has_gtin text, average_stock text, business_type text, declared_product_catalog_size text,
                         declared_monthly_revenue numeric);
