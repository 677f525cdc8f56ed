import { Button, FileButton, Modal, Select, Textarea } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { type DragEvent, type ReactNode, useState } from "react";
import { Icon } from "../base/icons";
import { ErrorNote, Note } from "../base/parts";
import { t } from "../text/t";

// ImportDialog takes a file or pasted text and tells what became of it.
export function ImportDialog<T>({
  title,
  hint,
  opened,
  onClose,
  formats,
  guess,
  send,
  report,
}: {
  title: string;
  hint: string;
  opened: boolean;
  onClose: () => void;
  formats?: { value: string; label: string }[];
  guess?: (name: string, text: string) => string;
  send: (text: string, format: string) => Promise<T>;
  report: (result: T) => ReactNode;
}) {
  const [text, setText] = useState("");
  const [format, setFormat] = useState(formats?.[0]?.value ?? "");
  const run = useMutation({ mutationFn: () => send(text, format) });
  const take = (next: string, name: string) => {
    setText(next);
    run.reset();
    if (guess) setFormat(guess(name, next));
  };
  const read = async (file: File | null) => {
    if (file) take(await file.text(), file.name);
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    void read(event.dataTransfer.files[0] ?? null);
  };
  const close = () => {
    setText("");
    run.reset();
    onClose();
  };
  return (
    <Modal opened={opened} onClose={close} title={title} size="lg">
      <div className="stack">
        <div className="muted">{hint}</div>
        <div className="row wrap">
          <FileButton onChange={(file) => void read(file)} accept=".yaml,.yml,.json,.xml,text/*">
            {(props) => (
              <Button {...props} variant="default" leftSection={<Icon name="out" size={14} />}>
                {t("import.choose")}
              </Button>
            )}
          </FileButton>
          <span className="muted">{t("import.orPaste")}</span>
          <span className="spread" />
          {formats ? (
            <Select
              w={120}
              data={formats}
              value={format}
              onChange={(v) => setFormat(v ?? "")}
              aria-label={t("import.format")}
              allowDeselect={false}
            />
          ) : null}
        </div>
        <Textarea
          value={text}
          onChange={(e) => take(e.currentTarget.value, "")}
          onDrop={drop}
          onDragOver={(e) => e.preventDefault()}
          rows={12}
          aria-label={t("import.text")}
          spellCheck={false}
          data-autofocus
          classNames={{ input: "mono" }}
        />
        {run.error ? <ErrorNote error={run.error} /> : null}
        {run.data !== undefined ? <Note kind="good">{report(run.data)}</Note> : null}
        <div className="row">
          <span className="spread" />
          <Button variant="default" onClick={close}>
            {run.data !== undefined ? t("close") : t("cancel")}
          </Button>
          <Button
            onClick={() => run.mutate()}
            loading={run.isPending}
            disabled={text.trim() === "" || run.data !== undefined}
          >
            {t("import.go")}
          </Button>
        </div>
      </div>
    </Modal>
  );
}
