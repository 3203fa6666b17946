import { testSlice } from "./run-slice.js";

testSlice(101, 150);
