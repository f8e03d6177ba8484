-- afterwards
DROP FUNCTION _my_party_numbers();
