import Models
import Numerics

/// Matrices of given shapes with room for as many rows as were asked for so far; nothing in them lasts.
///
/// Activations are of `Element`, but for those that stay in its format of arithmetic, as statistics do; each shape has a buffer of its kind, and an
/// empty one of the other. A shape that is packed has memory of its own kind.
final class MatrixMemory<Element: ActivationElement> {
  private let shapes: [MatrixShape]
  private var buffers: [MatrixBuffer<Element>]
  private var fullBuffers: [MatrixBuffer<Element.Accumulator>]
  private let packedUnits: [PackedUnits]
  private var capacity = RowCounts(samples: 0, tokens: 0)

  init(_ shapes: [MatrixShape]) {
    self.shapes = shapes
    buffers = shapes.map { MatrixBuffer(rows: 0, columns: $0.columns) }
    packedUnits = shapes.map { _ in PackedUnits() }
    fullBuffers = shapes.map { MatrixBuffer(rows: 0, columns: $0.columns) }
  }

  /// Makes room, in steps, so that parts of growing size do not each move everything; contents are lost where it grows.
  ///
  /// - Parameter limit: what it need never exceed.
  func reserve(_ rows: RowCounts, limit: RowCounts) {
    let wanted = RowCounts(
      samples: Self.rounded(rows.samples, limit: limit.samples), tokens: Self.rounded(rows.tokens, limit: limit.tokens)
    ).covering(capacity)
    guard rows.covering(capacity) != capacity else { return }
    capacity = wanted
    for (index, shape) in shapes.enumerated() {
      if let packed = shape.packed {
        // Sizes that can be counted: the estimate has counted them.
        packedUnits[index].reserve(bytes: packed.byteCount(rows: wanted[shape.domain], columns: shape.columns) ?? 0)
      } else if shape.isFull {
        Self.grow(&fullBuffers[index], rows: wanted[shape.domain])
      } else {
        Self.grow(&buffers[index], rows: wanted[shape.domain])
      }
    }
  }

  private static func grow<Number: TensorElement>(_ buffer: inout MatrixBuffer<Number>, rows: Int) {
    guard buffer.rows < rows else { return }
    let columns = buffer.columns
    // The old memory goes first.
    buffer = MatrixBuffer(rows: 0, columns: columns)
    buffer = MatrixBuffer(uninitializedRows: rows, columns: columns)
  }

  func view(_ number: Int, rows: (RowDomain) -> Range<Int>) -> StoredMatrix<Element.Accumulator> {
    let rows = rows(shapes[number].domain)
    return shapes[number].isFull
      ? .full(fullBuffers[number].view.rows(rows)) : Element.stored(buffers[number].view.rows(rows))
  }

  /// Of a shape that is packed as rows, for as many rows as there are.
  func packedRows(_ number: Int, rows: (RowDomain) -> Range<Int>) -> PackedRows? {
    let shape = shapes[number]
    guard case .rows(let form) = shape.packed else { return nil }
    return PackedRows(rows: rows(shape.domain).count, depth: shape.columns, form, in: packedUnits[number])
  }

  /// The same of one that is packed as columns.
  func packedColumns(_ number: Int, rows: (RowDomain) -> Range<Int>) -> PackedMatrix? {
    let shape = shapes[number]
    guard case .columns(let form) = shape.packed else { return nil }
    return PackedMatrix(depth: rows(shape.domain).count, columns: shape.columns, form, in: packedUnits[number])
  }

  /// In 32 steps up to the limit.
  private static func rounded(_ rows: Int, limit: Int) -> Int {
    let step = max(1, limit / 32)
    let (up, overflow) = ((rows + step - 1) / step).multipliedReportingOverflow(by: step)
    return overflow ? rows : max(rows, min(limit, up))
  }
}
