// The planner, in a thread of its own.
import start, { plan } from "./qeinsum_playground.js";

const ready = start();
onmessage = async (event) => {
  await ready;
  postMessage(plan(event.data));
};
