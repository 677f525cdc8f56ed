import { Button, Modal, PasswordInput, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useCallback, useEffect, useRef, useState } from "react";
import { api, left, type Me, must, signedOut } from "../api/client";
import { keys } from "../api/queries";
import { ErrorNote, Loading, useTitle } from "../base/parts";
import { Mark } from "../shell/Shell";
import { t } from "../text/t";

// safeNext lets an address of ours through and nothing else: "//evil" and
// "/\evil" would leave the hub.
export function safeNext(next: string): string {
  return /^\/(?![/\\])/.test(next) ? next : "/";
}

type Proof = { user: string; password: string } | { link: string };

// Escape would close a dialog under the form to sign in, with what is typed in it. Asked
// here, before any dialog is there, this hears the key first.
window.addEventListener(
  "keydown",
  (event) => {
    if (event.key === "Escape" && signedOut.get() && !left.get()) event.stopImmediatePropagation();
  },
  { capture: true },
);

// SignInAgain stands over a page whose session has ended, which stays as it is.
export function SignInAgain({ me }: { me: Me }) {
  const client = useQueryClient();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const goOn = useCallback(
    (now: Me) => {
      if (now.id !== me.id) client.clear();
      client.setQueryData(keys.me, now);
      signedOut.set(false);
      void client.invalidateQueries();
    },
    [client, me.id],
  );
  const signIn = async (body: Proof) => {
    setBusy(true);
    setError(undefined);
    try {
      goOn(await must(api.POST("/api/v1/sessions", { body })));
    } catch (cause) {
      setError(cause);
      setBusy(false);
    }
  };
  // Who has no password signs in by a link, in another window.
  useEffect(() => {
    const look = () => {
      if (document.visibilityState === "visible") void must(api.GET("/api/v1/me")).then(goOn, () => {});
    };
    window.addEventListener("focus", look);
    document.addEventListener("visibilitychange", look);
    return () => {
      window.removeEventListener("focus", look);
      document.removeEventListener("visibilitychange", look);
    };
  }, [goOn]);
  return (
    <Modal
      opened
      onClose={() => {}}
      withCloseButton={false}
      closeOnClickOutside={false}
      closeOnEscape={false}
      zIndex={1000}
      overlayProps={{ backgroundOpacity: 0.9, blur: 12 }}
      title={t("signIn.title")}
    >
      <div className="stack">
        <div>{t("signIn.again")}</div>
        {error ? <ErrorNote error={error} /> : null}
        <Credentials user={me.name} busy={busy} onSubmit={(body) => void signIn(body)} />
        <p className="muted sign-in-help">
          {t("signIn.help")} <code className="mono">fairlead-hub user link</code>
        </p>
      </div>
    </Modal>
  );
}

function Credentials({
  user = "",
  busy,
  onSubmit,
}: {
  user?: string;
  busy: boolean;
  onSubmit: (proof: Proof) => void;
}) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    onSubmit({ user: String(form.get("user") ?? ""), password: String(form.get("password") ?? "") });
  };
  return (
    <form onSubmit={submit} className="stack">
      <TextInput
        name="user"
        label={t("signIn.user")}
        autoComplete="username"
        defaultValue={user}
        required
        autoFocus={user === ""}
        withAsterisk={false}
      />
      <PasswordInput
        name="password"
        label={t("signIn.password")}
        autoComplete="current-password"
        required
        withAsterisk={false}
        data-autofocus={user !== "" || undefined}
      />
      <Button type="submit" loading={busy} fullWidth mt={4}>
        {t("signIn.go")}
      </Button>
    </form>
  );
}

export function SignIn() {
  useTitle(t("signIn.title"));
  const { link = "", next = "/" } = useSearch({ strict: false }) as { link?: string; next?: string };
  const client = useQueryClient();
  const navigate = useNavigate();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(link !== "");

  const signIn = useCallback(
    async (body: Proof) => {
      setBusy(true);
      setError(undefined);
      try {
        const me = await must(api.POST("/api/v1/sessions", { body }));
        client.clear();
        client.setQueryData(keys.me, me);
        left.set(false);
        signedOut.set(false);
        // The link is used up and must not stay in the history.
        await navigate({ href: safeNext(next), replace: true });
      } catch (cause) {
        setError(cause);
        setBusy(false);
      }
    },
    [client, navigate, next],
  );

  // Once: a link signs in one time only, and React runs effects twice while developing.
  const tried = useRef("");
  useEffect(() => {
    if (link === "" || tried.current === link) return;
    tried.current = link;
    void signIn({ link });
  }, [link, signIn]);

  return (
    <main className="sign-in">
      <div className="sign-in-box">
        <div className="row" style={{ gap: 12 }}>
          <Mark size={34} />
          <h1>{t("signIn.title")}</h1>
        </div>
        {busy && link ? <Loading /> : null}
        {error ? <ErrorNote error={error} /> : null}
        {busy && link ? null : <Credentials busy={busy} onSubmit={(body) => void signIn(body)} />}
        <p className="muted sign-in-help">
          {t("signIn.help")} <code className="mono">fairlead-hub user link</code>
        </p>
      </div>
    </main>
  );
}
