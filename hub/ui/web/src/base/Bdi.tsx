import { Children, type ComponentProps } from "react";
import { shown } from "./shown";

// Bdi holds text of others: apart from the words around it, and with nothing in it that
// cannot be seen.
export function Bdi({ children, ...rest }: ComponentProps<"bdi">) {
  return <bdi {...rest}>{Children.map(children, (child) => (typeof child === "string" ? shown(child) : child))}</bdi>;
}
