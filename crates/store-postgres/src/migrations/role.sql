-- Run at each start: the login role may have got the right to make roles since.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'devlogs_sql') THEN
        BEGIN
            CREATE ROLE devlogs_sql NOLOGIN NOINHERIT;
        EXCEPTION
            -- Another database of this server made it at the same moment.
            WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO devlogs_sql', current_schema());
    GRANT SELECT ON devlogs_records, devlogs_overflow, logs TO devlogs_sql;
    IF NOT pg_has_role(current_user, 'devlogs_sql', 'MEMBER') THEN
        EXECUTE format('GRANT devlogs_sql TO %I', current_user);
    END IF;
EXCEPTION
    WHEN insufficient_privilege OR undefined_object THEN NULL;
END
$$;
