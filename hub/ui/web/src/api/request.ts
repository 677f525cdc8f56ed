import { useState } from "react";
import { errorOf, idempotencyKey } from "./client";

// useRequestKey gives a form the key of its request, so that a second click or a repeat
// after a cut makes nothing twice. renew is told every error: a request that was answered
// may be changed and sent anew, and under its old key it would be refused for ever; one
// without an answer may have done its work, so its repeat must bear the same key.
export function useRequestKey(): { key: string; renew: (cause: unknown) => void } {
  const [key, setKey] = useState(idempotencyKey);
  return {
    key,
    renew: (cause) => {
      const { code } = errorOf(cause);
      if (code !== "unreachable" && code !== "unavailable") setKey(idempotencyKey());
    },
  };
}
