// The few icons the pages need, drawn on a 16-unit grid and coloured by the text
// around them. Decoration only: words stand beside them or in the control's label.

const paths = {
  home: "M2.5 7.2 8 2.5l5.5 4.7V13a.5.5 0 0 1-.5.5H9.8V9.8H6.2v3.7H3a.5.5 0 0 1-.5-.5z",
  jobs: "M3 3.5h10M3 8h10M3 12.5h6",
  play: "M4.5 3v10l8.5-5z",
  activity: "M1.5 8h3l2-5 3 10 2-5h3",
  command: "M3 4.5 6.5 8 3 11.5M8 12h5",
  nodes: "M2.5 3h11v4h-11zM2.5 9h11v4h-11zM5 5h.01M5 11h.01",
  runners: "M8 1.8v5M8 9.2v5M1.8 8h5M9.2 8h5M8 8m-1.6 0a1.6 1.6 0 1 0 3.2 0a1.6 1.6 0 1 0-3.2 0",
  keys: "M10.5 2.5a3 3 0 1 0 0 6a3 3 0 0 0 0-6zM8.3 7.7 2.5 13.5M4.5 11.5l1.5 1.5",
  cluster: "M8 2.2l5 2.9v5.8l-5 2.9-5-2.9V5.1zM8 8l5-2.9M8 8v5.8M8 8 3 5.1",
  settings:
    "M2.5 4.5h7M12.5 4.5h1M2.5 11.5h1M6.5 11.5h7M11 4.5m-1.5 0a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0M5 11.5m-1.5 0a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0",
  user: "M8 8.2a2.7 2.7 0 1 0 0-5.4a2.7 2.7 0 0 0 0 5.4zM2.8 13.6c.6-2.3 2.6-3.6 5.2-3.6s4.6 1.3 5.2 3.6",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9a4.5 4.5 0 0 0 0 9zM10.3 10.3 14 14",
  plus: "M8 3v10M3 8h10",
  regex: "M10.5 2.5v7M7.5 4.2l6 3.6M13.5 4.2l-6 3.6M3 12.5h2",
  close: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  check: "M3 8.5l3.2 3.2L13 5",
  chevron: "M6 3.5 10.5 8 6 12.5",
  down: "M3.5 6 8 10.5 12.5 6",
  copy: "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
  download: "M8 2v8M4.5 7 8 10.5 11.5 7M2.5 13.5h11",
  stop: "M4 4h8v8H4z",
  pause: "M5 3v10M11 3v10",
  follow: "M4 3.5 8 7.5l4-4M4 8.5l4 4 4-4",
  top: "M4 7.5l4-4 4 4M4 12.5l4-4 4 4",
  filter: "M2 3.5h12L9.5 9v4.5l-3-1.5V9z",
  sun: "M8 11a3 3 0 1 0 0-6a3 3 0 0 0 0 6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  moon: "M13 9.5A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.5z",
  screen: "M2 3h12v8H2zM6 13.5h4M8 11v2.5",
  clock: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 4.8V8l2.2 1.6",
  hourglass: "M4.5 2h7M4.5 14h7M5 2c0 3.5 3 4 3 6s-3 2.5-3 6M11 2c0 3.5-3 4-3 6s3 2.5 3 6",
  trash: "M3 4.5h10M6 4.5V3h4v1.5M4.5 4.5l.6 9h5.8l.6-9",
  warn: "M8 2.2 14.5 13.5h-13zM8 6.5v3.2M8 11.6h.01",
  info: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 7.4v3.4M8 5.2h.01",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  table: "M2.5 3h11v10h-11zM2.5 6.3h11M2.5 9.6h11M6.5 3v10",
  wrap: "M2.5 4h11M2.5 8h8.5a2 2 0 0 1 0 4H8M9.8 10.2 8 12l1.8 1.8M2.5 12h2.5",
  refresh: "M13 8a5 5 0 1 1-1.5-3.5M13 2.5v3h-3",
  link: "M6.5 9.5l3-3M7 5l1.5-1.5a2.8 2.8 0 0 1 4 4L11 9M9 11l-1.5 1.5a2.8 2.8 0 0 1-4-4L5 7",
  out: "M9 2.5H3.5v11H9M7 8h7M11.5 5.5 14 8l-2.5 2.5",
  dots: "M3.5 8h.01M8 8h.01M12.5 8h.01",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill={name === "play" || name === "stop" ? "currentColor" : "none"}
      stroke="currentColor"
      strokeWidth={name === "dots" ? 2 : 1.4}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={paths[name]} />
    </svg>
  );
}
