import {
  Badge,
  Button,
  type CSSVariablesResolver,
  createTheme,
  type MantineColorsTuple,
  Modal,
  NumberInput,
  PasswordInput,
  Select,
  TagsInput,
  Textarea,
  TextInput,
  Tooltip,
} from "@mantine/core";

const sea: MantineColorsTuple = [
  "#e8f6f8",
  "#d5eaee",
  "#aad5dd",
  "#7bbfcb",
  "#55acbc",
  "#3d9fb1",
  "#238699",
  "#0f6b7d",
  "#0a5b6b",
  "#044551",
];

// The greys of dark pages, from text to ground; Mantine's own have no blue in them and
// stand out beside ours.
const dark: MantineColorsTuple = [
  "#dde4ea",
  "#c1cad2",
  "#97a5b1",
  "#6b7884",
  "#46525c",
  "#313c45",
  "#1f2830",
  "#161c22",
  "#11161b",
  "#0b0f13",
];

export const theme = createTheme({
  primaryColor: "sea",
  primaryShade: 7,
  colors: { sea, dark },
  autoContrast: true,
  luminanceThreshold: 0.36,
  fontFamily: "'Inter Variable', system-ui, sans-serif",
  fontFamilyMonospace: "'JetBrains Mono Variable', ui-monospace, monospace",
  fontSizes: { xs: "0.75rem", sm: "0.8125rem", md: "0.875rem", lg: "1rem", xl: "1.125rem" },
  headings: {
    fontWeight: "600",
    sizes: {
      h1: { fontSize: "1.25rem", lineHeight: "1.3" },
      h2: { fontSize: "0.9375rem", lineHeight: "1.4" },
      h3: { fontSize: "0.875rem", lineHeight: "1.4" },
    },
  },
  defaultRadius: "sm",
  cursorType: "pointer",
  respectReducedMotion: true,
  components: {
    Button: Button.extend({ defaultProps: { size: "sm" } }),
    TextInput: TextInput.extend({ defaultProps: { size: "sm" } }),
    PasswordInput: PasswordInput.extend({ defaultProps: { size: "sm" } }),
    NumberInput: NumberInput.extend({ defaultProps: { size: "sm" } }),
    Textarea: Textarea.extend({ defaultProps: { size: "sm" } }),
    Select: Select.extend({ defaultProps: { size: "sm", checkIconPosition: "right" } }),
    TagsInput: TagsInput.extend({ defaultProps: { size: "sm" } }),
    Tooltip: Tooltip.extend({
      defaultProps: { openDelay: 300, withArrow: true, events: { hover: true, focus: true, touch: false } },
    }),
    Badge: Badge.extend({ defaultProps: { tt: "none", fw: 500, radius: "sm" } }),
    Modal: Modal.extend({
      defaultProps: { centered: true, overlayProps: { backgroundOpacity: 0.45 } },
      styles: { title: { fontWeight: 600, fontSize: "1rem" } },
    }),
  },
});

export const resolver: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-body": "#ffffff",
    "--mantine-color-text": "#16202a",
    "--mantine-color-dimmed": "#55626e",
    "--mantine-color-default-border": "#d3d9de",
    "--mantine-color-placeholder": "#6b7782",
    "--mantine-color-error": "#b3261e",
  },
  dark: {
    "--mantine-color-body": "#161c22",
    "--mantine-color-text": "#dde4ea",
    "--mantine-color-dimmed": "#97a5b1",
    "--mantine-color-default": "#1d252c",
    "--mantine-color-default-hover": "#242e36",
    "--mantine-color-default-border": "#36424c",
    "--mantine-color-placeholder": "#8593a0",
    "--mantine-color-error": "#ff8f86",
    "--mantine-color-anchor": "#6cc7d8",
  },
});
