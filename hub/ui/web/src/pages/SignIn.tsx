import { Button, PasswordInput, TextInput } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useCallback, useEffect, useRef, useState } from "react";
import { api, must, signedOut } from "../api/client";
import { keys } from "../api/queries";
import { ErrorNote, Loading, useTitle } from "../base/parts";
import { Mark } from "../shell/Shell";
import { t } from "../text/t";

// safeNext lets an address of ours through and nothing else: "//evil" and
// "/\evil" would leave the hub.
export function safeNext(next: string): string {
  return /^\/(?![/\\])/.test(next) ? next : "/";
}

export function SignIn() {
  useTitle(t("signIn.title"));
  const { link = "", next = "/" } = useSearch({ strict: false }) as { link?: string; next?: string };
  const client = useQueryClient();
  const navigate = useNavigate();
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(link !== "");

  const signIn = useCallback(
    async (body: { user: string; password: string } | { link: string }) => {
      setBusy(true);
      setError(undefined);
      try {
        const me = await must(api.POST("/api/v1/sessions", { body }));
        client.clear();
        client.setQueryData(keys.me, me);
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

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    void signIn({ user: String(form.get("user") ?? ""), password: String(form.get("password") ?? "") });
  };

  return (
    <main className="sign-in">
      <div className="sign-in-box">
        <div className="row" style={{ gap: 12 }}>
          <Mark size={34} />
          <h1>{t("signIn.title")}</h1>
        </div>
        {busy && link ? <Loading /> : null}
        {error ? <ErrorNote error={error} /> : null}
        {busy && link ? null : (
          <form onSubmit={submit} className="stack">
            <TextInput
              name="user"
              label={t("signIn.user")}
              autoComplete="username"
              required
              autoFocus
              withAsterisk={false}
            />
            <PasswordInput
              name="password"
              label={t("signIn.password")}
              autoComplete="current-password"
              required
              withAsterisk={false}
            />
            <Button type="submit" loading={busy} fullWidth mt={4}>
              {t("signIn.go")}
            </Button>
          </form>
        )}
        <p className="muted sign-in-help">
          {t("signIn.help")} <code className="mono">fairlead-hub user link</code>
        </p>
      </div>
    </main>
  );
}
