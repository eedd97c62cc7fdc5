/**
 * What Azure adds to a plain PostgreSQL, as far as it can be had without a C extension. Run once, as the superuser `azuresu`, in database
 * `postgres` of the template that every server is copied from.
 * Source: Azure documentation `security/security-manage-entra-users.md`; owners and memberships of `azure_pg_admin` are inferred.
 */
export function bootstrapStatements(major: number): readonly string[] {
  // PostgreSQL 16 asks for the admin option on a role before one may alter, grant or drop it; 15 does not know the words.
  const lendToAdmins = major >= 16 ? "EXECUTE format('GRANT %I TO azure_pg_admin WITH ADMIN TRUE, INHERIT FALSE, SET FALSE', name);" : "";
  return [
    "CREATE ROLE azure_pg_admin NOLOGIN CREATEDB CREATEROLE",
    "GRANT pg_monitor, pg_signal_backend, pg_checkpoint TO azure_pg_admin WITH ADMIN OPTION",
    "CREATE DATABASE azure_maintenance",
    "CREATE DATABASE azure_sys",
    "REVOKE ALL ON DATABASE azure_maintenance FROM PUBLIC",
    "ALTER DATABASE postgres OWNER TO azure_pg_admin",
    "CREATE SCHEMA pgaadauth_local",
    "CREATE TABLE pgaadauth_local.tenant (tenant_id text NOT NULL)",
    "CREATE TABLE pgaadauth_local.principals (name text NOT NULL, type text NOT NULL, object_id text NOT NULL)",
    LABEL_ROLE,
    createRole(lendToAdmins),
    REQUIRE_ENTRA_ADMIN,
    CREATE_PRINCIPAL,
    CREATE_PRINCIPAL_WITH_OID,
    LIST_PRINCIPALS,
    SYNC_GROUPS,
    ...PUBLIC_FUNCTIONS.flatMap((signature) => [
      `REVOKE ALL ON FUNCTION pg_catalog.${signature} FROM PUBLIC`,
      `GRANT EXECUTE ON FUNCTION pg_catalog.${signature} TO azure_pg_admin`,
    ]),
  ];
}

const PUBLIC_FUNCTIONS = [
  "pgaadauth_create_principal(text, boolean, boolean)",
  "pgaadauth_create_principal_with_oid(text, text, text, boolean, boolean)",
  "pgaadauth_list_principals(boolean)",
  "pgaadauth_sync_roles_for_group_members()",
];

// SECURITY LABEL itself needs a provider written in C; the row it would leave is written instead.
const LABEL_ROLE = `
CREATE FUNCTION pgaadauth_local.label_role(name text, oid text, type text, is_admin boolean, is_mfa boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  role_oid oid := (SELECT r.oid FROM pg_authid r WHERE r.rolname = label_role.name::name);
BEGIN
  DELETE FROM pg_shseclabel WHERE objoid = role_oid AND classoid = 'pg_authid'::regclass AND provider = 'pgaadauth';
  INSERT INTO pg_shseclabel (objoid, classoid, provider, label) VALUES (role_oid, 'pg_authid'::regclass, 'pgaadauth',
    format('aadauth,oid=%s,type=%s', label_role.oid, label_role.type)
      || CASE WHEN is_admin THEN ',admin' ELSE '' END || CASE WHEN is_mfa THEN ',mfa' ELSE '' END);
END $body$`;

const createRole = (lendToAdmins: string) => `
CREATE FUNCTION pgaadauth_local.create_role(name text, oid text, type text, is_admin boolean, is_mfa boolean) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
  EXECUTE format('CREATE ROLE %I LOGIN', name);
  IF is_admin THEN
    EXECUTE format('ALTER ROLE %I CREATEROLE CREATEDB', name);
    EXECUTE format('GRANT azure_pg_admin TO %I WITH ADMIN OPTION', name);
  ELSE
    NULL;
    ${lendToAdmins}
  END IF;
  PERFORM pgaadauth_local.label_role(name, oid, type, is_admin, is_mfa);
  RETURN format('Created role for "%s"', name);
END $body$`;

const REQUIRE_ENTRA_ADMIN = `
CREATE FUNCTION pgaadauth_local.require_entra_admin(called text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
  IF NOT pg_has_role(session_user, 'azure_pg_admin', 'MEMBER') OR NOT EXISTS (
    SELECT FROM pg_shseclabel l JOIN pg_authid r ON r.oid = l.objoid AND l.classoid = 'pg_authid'::regclass
    WHERE r.rolname = session_user AND l.provider = 'pgaadauth') THEN
    RAISE EXCEPTION 'permission denied for function %', called USING ERRCODE = 'insufficient_privilege';
  END IF;
END $body$`;

// The SQLSTATE of the two name refusals is inferred from the ARM error "Reason - 0LP01".
const CREATE_PRINCIPAL = `
CREATE FUNCTION pg_catalog.pgaadauth_create_principal("roleName" text, "isAdmin" boolean, "isMfa" boolean) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  found_count bigint;
  found_type text;
  found_oid text;
BEGIN
  PERFORM pgaadauth_local.require_entra_admin('pgaadauth_create_principal');
  IF EXISTS (SELECT FROM pg_authid WHERE rolname = "roleName"::name) THEN
    RAISE EXCEPTION 'role "%" already exists', "roleName" USING ERRCODE = 'duplicate_object';
  END IF;
  SELECT count(*), min(p.type), min(p.object_id) INTO found_count, found_type, found_oid
    FROM pgaadauth_local.principals p WHERE lower(p.name) = lower("roleName");
  IF found_count = 0 THEN
    RAISE EXCEPTION 'Could not validate Microsoft Entra ID user "%" because its name is not found in the tenant. Make sure it''s correct and retry.', "roleName"
      USING ERRCODE = '0LP01';
  ELSIF found_count > 1 THEN
    RAISE EXCEPTION 'Cannot validate Microsoft Entra ID user "%" because its name isn''t unique in the tenant. Make sure it''s correct and retry.', "roleName"
      USING ERRCODE = '0LP01';
  END IF;
  RETURN pgaadauth_local.create_role("roleName", found_oid, found_type, "isAdmin", "isMfa");
END $body$`;

// Whether Azure looks the object ID up is not settled; here it only has to look like one.
const CREATE_PRINCIPAL_WITH_OID = `
CREATE FUNCTION pg_catalog.pgaadauth_create_principal_with_oid("roleName" text, "objectId" text, "objectType" text, "isAdmin" boolean, "isMfa" boolean) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
  PERFORM pgaadauth_local.require_entra_admin('pgaadauth_create_principal_with_oid');
  IF "objectType" IS NULL OR "objectType" NOT IN ('user', 'group', 'service') THEN
    RAISE EXCEPTION 'Invalid object type "%". Supported types are user, group and service.', "objectType" USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF "objectId" IS NULL OR "objectId" !~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
    RAISE EXCEPTION 'Invalid object ID "%".', "objectId" USING ERRCODE = 'invalid_parameter_value';
  END IF;
  RETURN pgaadauth_local.create_role("roleName", lower("objectId"), "objectType", "isAdmin", "isMfa");
END $body$`;

const LIST_PRINCIPALS = `
CREATE FUNCTION pg_catalog.pgaadauth_list_principals("isAdminValue" boolean)
RETURNS TABLE (rolname name, principaltype text, objectid text, tenantid text, ismfa integer, isadmin integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
  PERFORM pgaadauth_local.require_entra_admin('pgaadauth_list_principals');
  RETURN QUERY
    SELECT r.rolname, substring(l.label from 'type=([^,]+)'), substring(l.label from 'oid=([^,]+)'), (SELECT t.tenant_id FROM pgaadauth_local.tenant t LIMIT 1),
      CASE WHEN 'mfa' = ANY (string_to_array(l.label, ',')) THEN 1 ELSE 0 END, CASE WHEN 'admin' = ANY (string_to_array(l.label, ',')) THEN 1 ELSE 0 END
    FROM pg_shseclabel l JOIN pg_authid r ON r.oid = l.objoid AND l.classoid = 'pg_authid'::regclass
    WHERE l.provider = 'pgaadauth' AND (NOT "isAdminValue" OR 'admin' = ANY (string_to_array(l.label, ',')))
    ORDER BY r.rolname;
END $body$`;

// Group sync (roles of their own for members) is not imitated: members sign in as the group's role.
const SYNC_GROUPS = `
CREATE FUNCTION pg_catalog.pgaadauth_sync_roles_for_group_members() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
  PERFORM pgaadauth_local.require_entra_admin('pgaadauth_sync_roles_for_group_members');
END $body$`;
