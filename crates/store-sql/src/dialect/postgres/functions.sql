-- Numbers in texts, as the query language reads them: -?\d+(\.\d+)?([eE][+-]?\d{1,3})?

-- The 64-bit integer that a text wholly is; null for any other text.
CREATE OR REPLACE FUNCTION devlogs_int(t text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  digits text;
  number numeric;
BEGIN
  IF t !~ '^-?[0-9]+$' THEN
    RETURN NULL;
  END IF;
  digits := ltrim(ltrim(t, '-'), '0');
  IF digits = '' THEN
    RETURN 0;
  END IF;
  IF length(digits) > 19 THEN
    RETURN NULL;
  END IF;
  number := digits::numeric;
  IF left(t, 1) = '-' THEN
    number := -number;
  END IF;
  IF number BETWEEN -9223372036854775808 AND 9223372036854775807 THEN
    RETURN number::bigint;
  END IF;
  RETURN NULL;
END $$;

-- The finite double that a text wholly is; null for any other text, and for what `devlogs_int` reads.
CREATE OR REPLACE FUNCTION devlogs_double(t text) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  whole text;
  fraction text;
  number numeric;
BEGIN
  IF t !~ '^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?$' OR devlogs_int(t) IS NOT NULL THEN
    RETURN NULL;
  END IF;
  whole := ltrim(substring(t from '^-?([0-9]+)'), '0');
  -- With so many digits no exponent of three digits makes it finite.
  IF length(whole) > 1400 THEN
    RETURN NULL;
  END IF;
  -- Digits further behind change no double.
  fraction := left(coalesce(substring(t from '\.([0-9]+)'), '0'), 2200);
  number := ('0' || whole || '.' || fraction || 'e' || coalesce(substring(t from '[eE](.*)$'), '0'))::numeric;
  -- 2^1024 - 2^970: from here on the nearest double is infinite.
  IF number >= 179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880177904174497792 THEN
    RETURN NULL;
  END IF;
  -- 2^-1075: up to here the nearest double is zero.
  IF number <= 2.4703282292062327208e-324 THEN
    number := 0;
  END IF;
  RETURN CASE WHEN left(t, 1) = '-' THEN -(number::double precision) ELSE number::double precision END;
END $$;
