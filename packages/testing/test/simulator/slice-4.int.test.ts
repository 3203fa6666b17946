import { testSlice } from "./run-slice.js";

testSlice(151, 200);
