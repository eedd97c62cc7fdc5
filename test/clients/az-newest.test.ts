import { azSuite } from "./support/az-suite.ts";

azSuite("newest");
