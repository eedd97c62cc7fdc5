/** A trap of a facts page, in a few words. Where a side (client, local Azure) has no test, the reason why. */
export interface Trap {
  readonly trap: string;
  readonly client?: string;
  readonly emulator?: string;
}

export interface FactsPage {
  /** As the tags of tests name it: `// trap: postgres 12`. */
  readonly key: string;
  readonly title: string;
  /** In the order of the page, which numbers them from 1. */
  readonly traps: readonly Trap[];
}

export const factsPages: readonly FactsPage[] = [
  {
    key: "postgres",
    title: "PostgreSQL (postgres.md, section 7)",
    traps: [
      { trap: "the 202 of a write does not hold the resource" },
      { trap: "a polling URL put together anew lacks its signature" },
      { trap: "a server just made is not ready for its children yet" },
      { trap: "parallel writes to children of one server fail" },
      { trap: "the name of an administrator is not its object ID" },
      { trap: "locations come back as display names, also in polling URLs" },
      { trap: "some permanent refusals say that one should try again", emulator: "local Azure closes no region" },
      { trap: "capabilities list sizes that a region refuses", client: "the client asks for no capabilities; the refusal itself is row 7" },
      { trap: "a failed create can leave its name behind, bound to a region" },
      { trap: "Retry-After is far longer than the work" },
      { trap: "the SDK loses the code of a failed operation" },
      { trap: "the name patterns of the SDK check nothing" },
      { trap: "an application ID in place of an object ID makes a role nobody enters" },
      { trap: "the kind of an administrator must be that of its token" },
      { trap: "administrators sign in by display name or UPN, guests by the long form" },
      { trap: "display names are not unique" },
      { trap: "pgaadauth lives in database postgres only, grants belong elsewhere" },
      {
        trap: "Entra learns of a new identity only after some time",
        emulator: "the window is put in by the client's test; local Azure knows identities at once",
      },
      { trap: "a recreated app has another identity behind its old role" },
      { trap: "sources disagree on the column name of the principal list" },
      { trap: "a firewall rule acts minutes after its operation ended" },
      { trap: "temporary openings stay behind after a crash" },
      { trap: "nobody but the app can try its login" },
      { trap: "tokens of managed identities are kept for a day", client: "the client asks for none; groups of an app play no part here" },
      {
        trap: "one token for a whole pool fails after an hour",
        client: "templates ask per connection, but an hour is too long for a test",
      },
      { trap: "switching Entra on restarts; switching passwords off locks others out" },
      { trap: "whether Entra stays on without an administrator must be read back" },
      { trap: "static parameters wait for a restart, which a busy server refuses" },
      { trap: "bad parameter values fail late and without words" },
      { trap: "booleans are spelled on or true, depending on the parameter" },
      { trap: "PgBouncer is missing on Burstable, its details while it is off" },
      { trap: "another size keeps the old max_connections", client: "no command changes it; scaling advice is not in this version" },
      { trap: "the source of a parameter does not tell whether it differs", client: "no command resets parameters" },
      { trap: "PUT over a server that exists is an update" },
      { trap: "the administrator login cannot change", client: "the client makes servers without one" },
      { trap: "three system databases are among the listed ones" },
      { trap: "a provider may be unregistered in a new subscription" },
      { trap: "names of deleted servers stay reserved for a while", emulator: "local Azure frees names at once, for fast tests" },
      { trap: "an ARM token may expire during a long wait" },
      { trap: "the SDK refuses plain http", client: "there is no http listener for ARM to try it on" },
    ],
  },
  {
    key: "kudu",
    title: "SCM site (kudu.md, section 7)",
    traps: [
      { trap: "the retry header is misspelled" },
      { trap: "the latest deployment may be somebody else's" },
      { trap: "status stays 0 for the whole build" },
      { trap: "a finished build is not a running app" },
      { trap: "builds outlive tokens" },
      { trap: "a settings write restarts SCM and kills the deployment" },
      { trap: "401 and a misleading 403 mean sign-in, role, audience or addresses" },
      { trap: "zips with backslashes or a top folder hold no app" },
      { trap: "the front end gives up after 230 s, the deployment does not", emulator: "the front end of local Azure has no such limit" },
      { trap: "sending again at once meets the lock" },
      { trap: "FastAPI without a start-up command shows a placeholder" },
      { trap: "the log stream is no SSE whatever its content type" },
      { trap: "deploying to a stopped app is never tracked to an end", emulator: "whether tracking ends is only reported, not recorded" },
      { trap: "the deployment begins under a temporary ID" },
      { trap: "kept connections break when SCM recycles" },
    ],
  },
  {
    key: "appservice",
    title: "App Service (appservice.md, section 5)",
    traps: [
      { trap: "the SCM host is not the app's name plus a suffix" },
      { trap: "writing app settings replaces all of them" },
      { trap: "parallel writers recycle SCM under a deployment" },
      { trap: "the answer of a site PUT is stale" },
      { trap: "the SDK gives no code for errors of Microsoft.Web" },
      { trap: "missing quota answers 401", emulator: "local Azure has no quotas" },
      { trap: "the same app name may have another identity" },
      { trap: "a new identity is not known everywhere at once", emulator: "local Azure knows identities at once" },
      {
        trap: "slots have identities and roles of their own",
        client: "slots are not in this version",
        emulator: "slots are not in this version",
      },
      {
        trap: "elastic counts are split between plan and site",
        client: "elastic plans are not in this version",
        emulator: "elastic plans are not in this version",
      },
      { trap: "PATCH of a plan knows no SKU" },
      { trap: "200 at the root may be the default page" },
      { trap: "Always On is refused on Free" },
      { trap: "the current outbound addresses are not all" },
      { trap: "the SDK's deploy call sends no body" },
      {
        trap: "calls of many seconds are normal",
        client: "a call that lasts that long would be the slowest test; the limit is three minutes",
      },
      { trap: "deleting the last site deletes its plan too" },
      { trap: "locations are spelled in two ways" },
    ],
  },
  {
    key: "servicelinker",
    title: "Service Connector (servicelinker.md, section 11)",
    traps: [
      { trap: "a user name needs api-version 2024-04-01 and an own body" },
      { trap: "the SDK drops newer fields, opt-outs among them" },
      { trap: "another api-version in the SDK breaks signed polls" },
      { trap: "a leading slash of the source doubles" },
      { trap: "201 comes for replacements too" },
      { trap: "bodies may be the word null" },
      { trap: "a validation's verdict stands in one of several places" },
      { trap: "available does not mean that a login works" },
      { trap: "the target is a database, postgres among them" },
      { trap: "the user's key is spelled differently for each client type" },
      { trap: "a second connection to PostgreSQL gets other keys", client: "one app has one connection of this tool" },
      { trap: "linker names take no hyphen" },
      { trap: "a PUT without user name clears the user" },
      { trap: "a failed operation loses its code in the SDK" },
      { trap: "the SSL setting is a text, not TLS options" },
      { trap: "deleting a linker leaves role, administrator and firewall rule" },
      { trap: "slots are sources of their own", client: "slots are not in this version", emulator: "slots are not in this version" },
      { trap: "the user-token header is a real token" },
      { trap: "every write of a linker restarts the app" },
      { trap: "older answers have no system data" },
    ],
  },
  {
    key: "passwordless-flow",
    title: "Passwordless flow (passwordless-flow.md, section 8: what a replacement must do)",
    traps: [
      { trap: "who is calling comes from its tokens, without Graph" },
      { trap: "recognise administrators through a group" },
      { trap: "never add an administrator silently; offer its removal", client: "no command offers the removal of an administrator" },
      { trap: "compare role and identity, repair without losing objects" },
      { trap: "exact levels, later tables too; name what belongs to others" },
      { trap: "every SQL error counts; success is proved" },
      { trap: "name, port, TLS, firewall, token and principal are different diagnoses" },
      { trap: "openings have a known name, one address, and an end" },
      { trap: "busy and inaccessible servers are tried again, with pauses" },
      { trap: "a private server gets SQL to run inside its network", client: "it is blocked with a hint; the SQL is not printed" },
      { trap: "write the linker with its user, or the same settings" },
      {
        trap: "down removes linker, role, administrator and rule in order",
        client: "on somebody else's server it removes the role, but no administrator and no rule",
      },
    ],
  },
];

/** Recorded answers of real Azure that a side does not test, and why. All others are found in the tests that name them. */
export const untestedRecordings: Readonly<Record<string, Omit<Trap, "trap">>> = {
  "appservice/flex-deployment-200": {
    client: "Flex Consumption is not in this version",
    emulator: "Flex Consumption is not in this version",
  },
  "appservice/flex-publish-202": { client: "Flex Consumption is not in this version", emulator: "Flex Consumption is not in this version" },
  "appservice/flex-site-get": { client: "Flex Consumption is not in this version", emulator: "Flex Consumption is not in this version" },
  "appservice/identity-then-principalnotfound-400": { emulator: "role assignments of Azure are not emulated; this tool makes none" },
  "appservice/slots-list": { client: "slots are not in this version", emulator: "slots are not in this version" },
  "functions/flex-deploy-2026-04": { client: "functions are not in this version", emulator: "functions are not in this version" },
};
