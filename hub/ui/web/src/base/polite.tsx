import { useEffect, useRef, useState } from "react";

// useRarely follows a value, but changes at most once in so many ms.
export function useRarely<T>(value: T, ms: number): T {
  const [told, setTold] = useState(value);
  const at = useRef(Date.now());
  useEffect(() => {
    if (Object.is(value, told)) return;
    const timer = setTimeout(
      () => {
        at.current = Date.now();
        setTold(value);
      },
      Math.max(0, at.current + ms - Date.now()),
    );
    return () => clearTimeout(timer);
  }, [value, told, ms]);
  return told;
}

// Polite is for ears only: it says a text when it changes. It must be there before that,
// or nothing is said, and whatever changes each second does not belong into it.
export function Polite({ text }: { text: string }) {
  return (
    <span role="status" className="visually-hidden">
      {text}
    </span>
  );
}
