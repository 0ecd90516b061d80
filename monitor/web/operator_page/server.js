// What the daemon is asked, and what it is told. Changes need the token; it is forgotten with the tab.

const PATIENCE_MS = 8000;
const TOKEN = "framewatch-token", NAME = "framewatch-name";

export class Refused extends Error {
  constructor(status, why) {
    super(why);
    this.status = status;
  }
}

async function answered(path, options) {
  const answer = await fetch("api/v1/" + path, {cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS), ...options});
  if (answer.ok) return answer.json();  // which fails where it breaks off: half an answer is none
  const said = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, said.error || "the daemon answers " + answer.status);
}

export const get = path => answered(path, {});

export const known = {
  get token() { return sessionStorage.getItem(TOKEN) || ""; },
  set token(text) { sessionStorage.setItem(TOKEN, text); },
  get name() { return localStorage.getItem(NAME) || ""; },
  set name(text) { localStorage.setItem(NAME, text); },
};

export async function tell(path, what) {
  try {
    return await answered(path, {
      method: "POST",
      headers: {"Authorization": "Bearer " + known.token, "Content-Type": "application/json"},
      body: JSON.stringify({by: known.name, ...what}),
    });
  } catch (error) {
    if (error.status === 401) known.token = "";
    if (error instanceof Refused) throw error;
    throw new Error("No answer came. It may have been done all the same: look before you try again.");
  }
}
