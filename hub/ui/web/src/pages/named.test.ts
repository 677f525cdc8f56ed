import { expect, test } from "vitest";
import { named } from "./named";

// hub/nodefilter has the same filters in its tests, with what they select.
test.each([
  ["web-1", "name: web-1"],
  ["web.example", "name: web\\.example"],
  ["web.*", "name: web\\.\\*"],
  ["a,b", "name: a\\x{2c}b"],
  ["/re/", "name: \\x{2f}re\\x{2f}"],
  ["sp ace", "name: sp\\x{20}ace"],
  ["x+y", "name: x\\x{2b}y"],
  ["q\"uo'te", "name: q\\\"uo\\'te"],
  ["col:on", "name: col\\:on"],
  ["!bang", "name: \\!bang"],
  ["${option.x}", "name: \\$\\{option\\.x\\}"],
  ["ü\u202e", "name: ü\\x{202e}"],
])("the filter for the node %s", (node, filter) => expect(named(node)).toBe(filter));
