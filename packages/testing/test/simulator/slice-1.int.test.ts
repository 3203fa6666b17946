import { testSlice } from "./run-slice.js";

testSlice(1, 50);
