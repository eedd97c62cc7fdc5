import { azSuite } from "./support/az-suite.ts";

// The last series that knows `--active-directory-auth`, the recipe's own word.
azSuite("2.70.0");
