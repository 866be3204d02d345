import Models
import Numerics

/// A matrix whose rows are as many as a pass has samples or tokens.
struct MatrixShape: Hashable {
  let columns: Int
  let domain: RowDomain
  /// Whether it is of numbers that stay in the format of arithmetic, whatever activations are kept in.
  var isFull = false
  /// How it is packed, and for which side of products; nil where it is not.
  var packed: PackedOperand? = nil
}

/// How a value is packed for products.
enum PackedOperand: Hashable {
  /// As a left operand, its rows one by one.
  case rows(PackedForm)
  /// As a right operand, whose depth its rows are.
  case columns(PackedForm)

  /// Bytes of a value of that size; nil when the count overflows.
  func byteCount(rows: Int, columns: Int) -> Int? {
    switch self {
    case .rows(let form): form.rowsBytes(rows: rows, depth: columns)
    case .columns(let form): form.matrixBytes(depth: rows, columns: columns)
    }
  }
}

/// How an engine stores activations.
struct ActivationStorage {
  /// Whether in 16 bits, but for those that are not (`Model.formats`).
  let isNarrow: Bool
  /// How products have operands packed; nil where they have no use for it.
  let packedForm: PackedForm?

  /// Double precision is neither narrowed nor packed.
  init<Element: FloatingElement>(_ compute: Compute, _: Element.Type) {
    let isSingle = Element.self == Float.self
    isNarrow = isSingle && compute.precision == .bfloat16
    packedForm = isSingle ? compute.packedForm : nil
  }
}

/// A matrix that a pass over a model reads or writes.
enum ModelMatrix: Hashable {
  /// By its place in `Model.values`.
  case value(Int)
  /// ∂L/∂value.
  case gradient(Int)
  /// What a layer keeps for its backward pass, by the layer's place in `Model.layers`.
  case kept(Int)
  /// What it keeps for that in the format of arithmetic.
  case statistics(Int)
  /// A value as several products of forward passes have it.
  case packedRows(Int)
  /// A value as several products of backward passes have it.
  case packedColumns(Int)
}

extension Model {
  func shape(of matrix: ModelMatrix, _ storage: ActivationStorage) -> MatrixShape {
    switch matrix {
    case .value(let number), .gradient(let number):
      MatrixShape(
        columns: values[number].width, domain: values[number].domain, isFull: storage.isNarrow && formats.isFull[number]
      )
    case .kept(let layer):
      MatrixShape(columns: layers[layer].keptColumns, domain: values[layers[layer].output].domain)
    case .statistics(let layer):
      MatrixShape(
        columns: layers[layer].statisticsColumns, domain: values[layers[layer].output].domain, isFull: true)
    case .packedRows(let number):
      MatrixShape(
        columns: values[number].width, domain: values[number].domain, packed: storage.packedForm.map { .rows($0) })
    case .packedColumns(let number):
      MatrixShape(
        columns: values[number].width, domain: values[number].domain, packed: storage.packedForm.map { .columns($0) })
    }
  }
}

/// How many rows matrices have, or may have, by what their rows are.
struct RowCounts: Equatable {
  var samples = 0
  var tokens = 0

  init(samples: Int, tokens: Int) {
    self.samples = samples
    self.tokens = tokens
  }

  init(_ span: RowSpan) {
    self.init(samples: span.samples.upperBound, tokens: span.tokens.upperBound)
  }

  subscript(domain: RowDomain) -> Int {
    switch domain {
    case .samples: samples
    case .tokens: tokens
    }
  }

  func covering(_ other: RowCounts) -> RowCounts {
    RowCounts(samples: max(samples, other.samples), tokens: max(tokens, other.tokens))
  }

  /// Bytes of matrices with these rows, activations in `Element`; nil when the count overflows.
  func byteCount<Element: ActivationElement>(_ shapes: [MatrixShape], _: Element.Type) -> Int? {
    Shape.sum(
      shapes.map { shape in
        let rows = self[shape.domain]
        if let packed = shape.packed { return packed.byteCount(rows: rows, columns: shape.columns) }
        return Shape.byteCount(
          [rows, shape.columns], shape.isFull ? Element.Accumulator.elementType : Element.elementType)
      })
  }
}
