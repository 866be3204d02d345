package import Files
package import Numerics

/// A tensor of a pretrained model: what it is for, and how its checkpoint stores it.
package struct FamilyTensor: Sendable, Equatable {
  package enum Role: Sendable {
    /// Stays with the owner.
    case embedding
    /// Is sent to the trainer.
    case weight
    /// The gain of a norm, which the weights that read the norm take in; 1 from then on.
    case foldedNorm
    /// Of the dense layer between the first token and the classifier, which not every checkpoint has.
    case pooler
    /// Of the language model's own head.
    case languageModelHead
  }

  /// As the trainer's model names it.
  package let name: String
  /// [outputs, inputs] of a linear layer.
  package let shape: [Int]
  package var role: Role
  /// The norm whose gain its columns take in before training.
  package var gain: String?
  /// How its checkpoint stores it, where that differs.
  package var place: Place?

  /// Where a tensor lies in another: several projections in one matrix, or a matrix stored as [inputs, outputs].
  package struct Place: Sendable, Equatable {
    /// The canonical name of the tensor that holds it.
    package let tensor: String
    /// The first of its rows, in that tensor or in its transpose.
    package let firstRow: Int
    /// Whether that tensor is stored as [inputs, outputs].
    package let isTransposed: Bool

    package init(in tensor: String, firstRow: Int = 0, isTransposed: Bool = false) {
      self.tensor = tensor
      self.firstRow = firstRow
      self.isTransposed = isTransposed
    }
  }

  package init(_ name: String, _ shape: [Int], role: Role = .weight, gain: String? = nil, place: Place? = nil) {
    self.name = name
    self.shape = shape
    self.role = role
    self.gain = gain
    self.place = place
  }

  /// The canonical name of the stored tensor that it is, or is a part of.
  package var storedName: String { place?.tensor ?? name }
  package var description: TensorDescription { TensorDescription(name: name, shape: shape) }
}

extension FamilyTensor {
  /// The weight and the bias of a linear layer.
  package static func linear(
    _ name: String, _ outputs: Int, _ inputs: Int, hasBias: Bool, role: Role = .weight, gain: String? = nil
  ) -> [FamilyTensor] {
    let weight = FamilyTensor("\(name).weight", [outputs, inputs], role: role, gain: gain)
    return hasBias ? [weight, FamilyTensor("\(name).bias", [outputs], role: role)] : [weight]
  }

  /// The gain and the shift of a LayerNorm.
  package static func layerNorm(_ name: String, _ width: Int, role: Role = .weight) -> [FamilyTensor] {
    ["weight", "bias"].map { FamilyTensor("\(name).\($0)", [width], role: role) }
  }

  /// What is stored of these tensors, parts of one tensor together.
  static func stored(_ tensors: [FamilyTensor]) -> [TensorDescription] {
    var names: [String] = []
    var shapes: [String: (rows: Int, shape: [Int], isTransposed: Bool)] = [:]
    for tensor in tensors {
      let name = tensor.storedName
      if shapes[name] == nil { names.append(name) }
      let rows = (tensor.place?.firstRow ?? 0) + (tensor.shape.first ?? 0)
      shapes[name] = (max(rows, shapes[name]?.rows ?? 0), tensor.shape, tensor.place?.isTransposed ?? false)
    }
    return names.compactMap { name in
      shapes[name].map { rows, shape, isTransposed in
        let whole = [rows] + shape.dropFirst()
        return TensorDescription(name: name, shape: isTransposed ? whole.reversed() : whole)
      }
    }
  }
}

extension FamilyTensor {
  /// This tensor's rows of the one that holds it.
  ///
  /// - Parameter path: of the checkpoint, for an error.
  func cut<Element: TensorElement>(
    from stored: Tensor<Element>, of path: String
  ) throws(FileError) -> Tensor<Element> {
    let whole = place?.isTransposed == true ? stored.transposed : stored
    let first = place?.firstRow ?? 0
    let rows = shape.first ?? 0
    guard whole.shape.dropFirst() == shape.dropFirst(), first >= 0, rows <= (whole.shape.first ?? 0) - first else {
      throw .huggingFace(path: path, .shape(name: name, expected: shape, found: stored.shape))
    }
    let width = shape.dropFirst().reduce(1, *)
    return Tensor(Array(whole.elements[first * width..<(first + rows) * width]), shape: shape)
  }
}

/// A stored tensor, of the parts that it is made of.
package struct StoredTensor<Element: TensorElement>: Sendable {
  package typealias Part = (tensor: FamilyTensor, read: @Sendable () throws(FileError) -> Tensor<Element>)

  /// All of one stored name, at least one.
  package var parts: [Part]

  package init(parts: [Part]) {
    self.parts = parts
  }

  package var name: String { parts.first?.tensor.storedName ?? "" }
  package var shape: [Int] { FamilyTensor.stored(parts.map(\.tensor)).first?.shape ?? [] }

  /// Reads the parts and puts them where they belong.
  ///
  /// - Throws: what reading a part throws.
  package func joined() throws(FileError) -> Tensor<Element> {
    guard let only = parts.first else { return Tensor(zeros: []) }
    if parts.count == 1, only.tensor.place?.isTransposed != true { return try only.read() }
    var entries: [Element] = []
    for part in parts.sorted(by: { $0.tensor.place?.firstRow ?? 0 < $1.tensor.place?.firstRow ?? 0 }) {
      entries += try part.read().elements
    }
    let shape = shape
    guard only.tensor.place?.isTransposed == true else { return Tensor(entries, shape: shape) }
    return Tensor(entries, shape: shape.reversed()).transposed
  }
}

extension Tensor {
  /// A vector is its own transpose.
  fileprivate var transposed: Tensor {
    guard shape.count == 2 else { return self }
    let (rows, columns) = (shape[0], shape[1])
    let entries = elements
    return Tensor(
      (0..<columns).flatMap { column in (0..<rows).map { entries[$0 * columns + column] } }, shape: [columns, rows])
  }
}
