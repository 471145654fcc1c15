/**
 * A table that is kept up to date: rows by key, so that what has not changed is not touched and a
 * reader's focus stays where it is.
 *
 * Shows a page of rows at a time; more are made when they are asked for.
 */

export interface Cell {
  readonly text: string;
  /** One of the style sheet's. */
  readonly mark?: string;
}

export interface Row {
  readonly key: string;
  /** The first one names the row, and selects it when it is pressed. */
  readonly cells: readonly (string | Cell)[];
}

export interface TableColumn {
  readonly title: string;
  readonly number?: boolean;
}

const PAGE = 20,
  MORE = 200;

export class TableView {
  readonly #host: HTMLElement;
  readonly #onPick: (key: string) => void;
  #columns: readonly TableColumn[] = [];
  #body: HTMLTableSectionElement | null = null;
  #foot: HTMLElement | null = null;
  readonly #rows = new Map<string, HTMLTableRowElement>();
  #limit = PAGE;
  #last: { rows: readonly Row[]; empty: string; caption: string } | null = null;

  constructor(host: HTMLElement, onPick: (key: string) => void) {
    this.#host = host;
    this.#onPick = onPick;
  }

  /** `empty`: what is said when there is no row. */
  show(
    columns: readonly TableColumn[],
    rows: readonly Row[],
    empty: string,
    caption: string,
  ): void {
    if (columns !== this.#columns) this.#build(columns, caption);
    this.#last = { rows, empty, caption };
    const shown = rows.slice(0, this.#limit);
    const keys = new Set(shown.map(({ key }) => key));
    for (const [key, row] of this.#rows)
      if (!keys.has(key)) {
        row.remove();
        this.#rows.delete(key);
      }
    let before: Element | null = null;
    for (const row of shown) {
      const element = this.#rows.get(row.key) ?? this.#newRow(row);
      this.#fill(element, row);
      const next: Element | null =
        before === null ? this.#body!.firstElementChild : before.nextElementSibling;
      if (next !== element) this.#body!.insertBefore(element, next);
      before = element;
    }
    this.#tellRest(rows.length, empty);
  }

  #build(columns: readonly TableColumn[], caption: string): void {
    this.#columns = columns;
    this.#rows.clear();
    this.#limit = PAGE;
    const table = document.createElement('table');
    const title = table.createCaption();
    title.className = 'unseen';
    title.textContent = caption;
    const head = table.createTHead().insertRow();
    for (const { title: text, number } of columns) {
      const cell = document.createElement('th');
      cell.scope = 'col';
      cell.textContent = text;
      if (number === true) cell.className = 'number';
      head.append(cell);
    }
    this.#body = table.createTBody();
    this.#foot = document.createElement('p');
    this.#foot.className = 'rest';
    this.#host.replaceChildren(table, this.#foot);
  }

  #newRow({ key }: Row): HTMLTableRowElement {
    const row = document.createElement('tr');
    this.#columns.forEach(({ number }, i) => {
      const cell = document.createElement(i === 0 ? 'th' : 'td');
      if (i === 0) {
        cell.scope = 'row';
        const button = document.createElement('button');
        button.type = 'button';
        button.className = 'name';
        button.addEventListener('click', () => this.#onPick(key));
        cell.append(button);
      }
      if (number === true) cell.className = 'number';
      row.append(cell);
    });
    this.#rows.set(key, row);
    return row;
  }

  #fill(element: HTMLTableRowElement, { cells }: Row): void {
    cells.forEach((cell, i) => {
      const { text, mark = '' } = typeof cell === 'string' ? { text: cell } : cell;
      const place = element.children[i]!;
      const holder = i === 0 ? place.firstElementChild! : place;
      if (holder.textContent !== text) holder.textContent = text;
      const name = `${this.#columns[i]?.number === true ? 'number ' : ''}${mark}`.trim();
      if (i > 0 && place.className !== name) place.className = name;
    });
  }

  #tellRest(total: number, empty: string): void {
    const foot = this.#foot!;
    const left = total - Math.min(total, this.#limit);
    const text =
      total === 0 ? empty : left > 0 ? `Show ${Math.min(MORE, left)} of ${left} more` : '';
    if (foot.textContent === text) return;
    foot.replaceChildren();
    if (left > 0 && total > 0) {
      const button = document.createElement('button');
      button.type = 'button';
      button.textContent = text;
      button.addEventListener('click', () => {
        this.#limit += MORE;
        const { rows, empty: words, caption } = this.#last!;
        this.show(this.#columns, rows, words, caption);
      });
      foot.append(button);
    } else foot.textContent = text;
  }
}
