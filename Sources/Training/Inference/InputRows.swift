import Numerics

/// Memory for inputs of a model outside of any plan, stored as the model reads them.
///
/// Only one of its two buffers is ever in use.
struct InputRows<Stored: ActivationElement> {
  private let isFull: Bool
  private var full: MatrixBuffer<Stored.Accumulator>
  private var narrow: MatrixBuffer<Stored>

  init(_ model: Model) {
    isFull = model.readsFullInputs
    full = MatrixBuffer(rows: 0, columns: model.inputWidth)
    narrow = MatrixBuffer(rows: 0, columns: model.inputWidth)
  }

  /// So many rows, of unspecified contents where there have been fewer; valid while this value is alive and not asked for more.
  mutating func rows(_ count: Int) -> StoredMatrix<Stored.Accumulator> {
    if isFull {
      Self.grow(&full, to: count)
      return .full(full.view.rows(0..<count))
    }
    Self.grow(&narrow, to: count)
    return Stored.stored(narrow.view.rows(0..<count))
  }

  private static func grow<Element: TensorElement>(_ buffer: inout MatrixBuffer<Element>, to rows: Int) {
    guard buffer.rows < rows else { return }
    let columns = buffer.columns
    // The old memory goes first.
    buffer = MatrixBuffer(rows: 0, columns: columns)
    buffer = MatrixBuffer(uninitializedRows: rows, columns: columns)
  }
}
