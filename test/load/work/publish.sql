SELECT publish('win_rate', daterange((date_trunc('month', now()) - interval '6 months')::date, (date_trunc('month', now()) - interval '3 months')::date), note => 'under load');
