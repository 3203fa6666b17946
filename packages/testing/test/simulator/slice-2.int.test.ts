import { testSlice } from "./run-slice.js";

testSlice(51, 100);
