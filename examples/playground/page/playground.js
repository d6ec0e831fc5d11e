// The page around the planner: what is typed becomes a request, the worker answers, and the answer is shown.
//
// The planner runs in a worker, so that the page stays alive while a path is searched; where a newer request comes before an
// answer, the worker is ended and a fresh one asked, so that no search is waited for that nobody wants any more.

const FIELDS = ["equation", "sizes", "syntax", "optimize", "minimize", "bits"];
const START = { equation: "bhqk,bkhd->bqhd", sizes: "b=2,h=8,q=128,k=128,d=64" };
const EXAMPLES = [
  ["Matrix product", { equation: "ij,jk->ik", sizes: "i=64,j=32,k=16" }],
  ["Attention values, int8", { ...START, bits: "8" }],
  ["Chain of four", { equation: "ab,bc,cd,de->ae", sizes: "64x8,8x64,64x8,8x64" }],
  ["Ring of twelve", {
    equation: "ab,bc,cd,de,ef,fg,gh,hi,ij,jk,kl,la->ae",
    sizes: "a=12,b=20,c=7,d=30,e=16,f=9,g=40,h=8,i=25,j=6,k=14,l=18",
  }],
  ["Diagonal and sums", { equation: "iij,jk,klm,x->mi", sizes: "i=30,j=20,k=7,l=5,m=50,x=3" }],
  ["Named, without sizes", { equation: "batch time chan, chan out -> batch time out", syntax: "named" }],
];
// How long a search may take before it is given up: what is asked for is a page that answers.
const PATIENCE = 8000;

const element = (id) => document.getElementById(id);
const fields = Object.fromEntries(FIELDS.map((name) => [name, element(name)]));

const request = () => Object.fromEntries(FIELDS.map((name) => [name, fields[name].value]));

const fill = (values) => {
  for (const name of FIELDS) {
    const field = fields[name];
    const usual = field.tagName === "SELECT" ? field.options[0].value : "";
    field.value = values[name] ?? usual;
    // A value that a list does not have, as a link may bring, leaves it empty.
    if (field.tagName === "SELECT" && field.selectedIndex < 0) field.value = usual;
  }
};

// The request in the address, so that it can be sent to others.
const fromAddress = () => {
  const words = new URLSearchParams(location.hash.slice(1));
  return words.has("equation") ? Object.fromEntries(words) : START;
};
const toAddress = (asked) => {
  const usual = { syntax: "compact", optimize: "auto", minimize: "mul" };
  const words = new URLSearchParams(Object.entries(asked).filter(([name, value]) =>
    name === "equation" || (value !== "" && value !== usual[name])));
  history.replaceState(null, "", `#${words}`);
};

let worker = null;
let busy = false;
let deadline = 0;
const ask = () => {
  const asked = request();
  toAddress(asked);
  if (busy || worker === null) {
    worker?.terminate();
    worker = new Worker("worker.js", { type: "module" });
    worker.onmessage = (event) => {
      clearTimeout(deadline);
      busy = false;
      show(JSON.parse(event.data));
    };
    worker.onerror = (event) => refuse(`the planner stopped: ${event.message}`);
  }
  busy = true;
  clearTimeout(deadline);
  deadline = setTimeout(() => refuse(
    `the search was given up after ${PATIENCE / 1000} s: another way to optimize, such as greedy, is faster`), PATIENCE);
  worker.postMessage(JSON.stringify(asked));
};
const refuse = (error) => {
  worker?.terminate();
  worker = null;
  busy = false;
  clearTimeout(deadline);
  show({ error, field: "choices", notes: [] });
};

const put = (id, text) => {
  element(id).textContent = text ?? "";
  element(id).hidden = !text;
};
const show = (answer) => {
  put("error", answer.error);
  put("notes", answer.notes.join("; "));
  put("cost", answer.cost);
  for (const name of FIELDS) fields[name].classList.toggle("wrong", answer.field === name);
  fields[answer.field]?.setAttribute("aria-invalid", "true");
  for (const name of FIELDS) if (name !== answer.field) fields[name].removeAttribute("aria-invalid");
  const picture = element("picture");
  // The last good picture stays, pale, while something is wrong.
  picture.classList.toggle("old", answer.error !== undefined);
  if (answer.error !== undefined) return;
  picture.hidden = answer.picture === undefined;
  put("symbolic", answer.picture === undefined ? answer.text : "");
  if (answer.picture === undefined) {
    picture.classList.remove("viewer");
    picture.replaceChildren();
  } else {
    showPicture(picture, answer.picture);
  }
};

let pause = 0;
element("ask").addEventListener("input", (event) => {
  if (event.target.id === "examples") {
    const example = EXAMPLES[Number(event.target.value)];
    if (example) fill(example[1]);
    event.target.selectedIndex = 0;
  }
  clearTimeout(pause);
  pause = setTimeout(ask, 120);
});
element("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
window.addEventListener("hashchange", () => {
  fill(fromAddress());
  ask();
});
EXAMPLES.forEach(([name], at) => element("examples").append(new Option(name, at)));
fill(fromAddress());
ask();
