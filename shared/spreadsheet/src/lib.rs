//! Spreadsheet bytes to rows, and rows to workbooks; knows no storage.
