// The page: a name first, then the chat. One client for as long as somebody is signed in.
import { StrictMode, useMemo, useState, type FormEvent } from "react";
import { createRoot } from "react-dom/client";
import { createClient } from "ringdial";
import { RingdialProvider } from "ringdial/react";
import { Chat } from "./Chat";
import "./style.css";

// Where the embedded `ringdial` listens; `?lookup=` names another one. A service that wants tokens: see README.md.
const LOOKUP = new URLSearchParams(location.search).get("lookup") ?? "http://127.0.0.1:7000/lookup";

function App() {
  const [me, setMe] = useState(() => sessionStorage.getItem("me") ?? "");
  const signIn = (name: string) => {
    sessionStorage.setItem("me", name); // by tab, so that two tabs are two people
    setMe(name);
  };
  return me ? <SignedIn key={me} me={me} leave={() => signIn("")} /> : <SignIn signIn={signIn} />;
}

function SignedIn({ me, leave }: { me: string; leave: () => void }) {
  const client = useMemo(() => createClient({ lookup: LOOKUP, id: me }), [me]);
  return (
    <RingdialProvider client={client}>
      <Chat me={me} leave={leave} />
    </RingdialProvider>
  );
}

function SignIn({ signIn }: { signIn: (name: string) => void }) {
  const [name, setName] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (name.trim()) signIn(name.trim());
  };
  return (
    <main className="sign-in">
      <h1>Ringdial chat</h1>
      <form onSubmit={submit}>
        <label htmlFor="name">Your name</label>
        <input id="name" value={name} onChange={(event) => setName(event.target.value)} maxLength={40} autoComplete="nickname" autoFocus required />
        <button>Enter</button>
      </form>
    </main>
  );
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
