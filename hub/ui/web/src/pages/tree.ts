import type { JobSummary } from "../api/client";

// Group is a folder of the job tree.
export interface Group {
  path: string;
  name: string;
  groups: Group[];
  jobs: JobSummary[];
  // count is of all jobs below it.
  count: number;
}

// treeOf sorts jobs into their groups; group "" of the answer is the root.
export function treeOf(jobs: JobSummary[]): Group {
  const root: Group = { path: "", name: "", groups: [], jobs: [], count: 0 };
  const byPath = new Map<string, Group>([["", root]]);
  const groupAt = (path: string): Group => {
    const known = byPath.get(path);
    if (known) return known;
    const cut = path.lastIndexOf("/");
    const group: Group = { path, name: path.slice(cut + 1), groups: [], jobs: [], count: 0 };
    byPath.set(path, group);
    groupAt(cut < 0 ? "" : path.slice(0, cut)).groups.push(group);
    return group;
  };
  for (const job of jobs) groupAt(job.group).jobs.push(job);
  finish(root);
  return root;
}

function finish(group: Group): number {
  group.groups.sort((a, b) => a.name.localeCompare(b.name));
  group.jobs.sort((a, b) => a.name.localeCompare(b.name));
  group.count = group.jobs.length;
  for (const child of group.groups) group.count += finish(child);
  return group.count;
}

export type Item = { kind: "group"; depth: number; group: Group } | { kind: "job"; depth: number; job: JobSummary };

// flatten lists what is to be seen, group heads before what is in them.
export function flatten(group: Group, closed: ReadonlySet<string>, depth = 0): Item[] {
  const items: Item[] = [];
  for (const child of group.groups) {
    items.push({ kind: "group", depth, group: child });
    if (!closed.has(child.path)) items.push(...flatten(child, closed, depth + 1));
  }
  for (const job of group.jobs) items.push({ kind: "job", depth, job });
  return items;
}
