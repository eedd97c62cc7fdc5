/** What an app may do in its database: own what it makes there, change rows, or read them. */
export type AccessLevel = "owner" | "write" | "read";
