/** Owner may create tables in schema public; write changes rows; read reads them. */
export type AccessLevel = "owner" | "write" | "read";
