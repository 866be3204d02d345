package import Models

/// Which group every space's key is drawn from; a function of the job alone, with no secret in it.
package struct KeyPlan: Sendable, Equatable, Codable {
  /// In the model's order of first use, input first.
  package let rows: [KeyPlanRow]
  /// The row that input batches are masked with.
  package let input: KeyPlanRow
  /// The row that outputs, output gradients and labels are masked with.
  package let output: KeyPlanRow

  package init(rows: [KeyPlanRow], input: KeyPlanRow, output: KeyPlanRow) {
    self.rows = rows
    self.input = input
    self.output = output
  }

  package func row(_ space: SpaceID) -> KeyPlanRow? {
    rows.first { $0.space == space }
  }
}

/// One line of the key table: a space and the group its key is drawn from.
package struct KeyPlanRow: Sendable, Equatable {
  package let space: SpaceID
  /// Coordinates the key acts on.
  package let width: Int
  package let group: SymmetryGroup
  /// The operation, loss or setting that allows nothing larger: "relu after layers.0", "masking.strength: permutation".
  package let decidedBy: String
  /// Set on an input space in homogeneous coordinates [x; 1; 0_k].
  package let homogeneous: HomogeneousColumns?
  /// How the key is made of smaller ones, each drawn from `group`.
  package let form: SpaceForm
  /// Whether the heads of a space of heads are in a secret order; false where another space of their attention layer is
  /// not masked, because all four go through the heads in one order.
  package let permutesHeads: Bool

  package init(
    space: SpaceID, width: Int, group: SymmetryGroup, decidedBy: String, homogeneous: HomogeneousColumns? = nil,
    form: SpaceForm = .whole, permutesHeads: Bool = true
  ) {
    self.space = space
    self.width = width
    self.group = group
    self.decidedBy = decidedBy
    self.homogeneous = homogeneous
    self.form = form
    self.permutesHeads = permutesHeads
  }

  /// The key in words: "orthogonal", "orthogonal per head (12 x 32), heads permuted".
  package var keyDescription: String {
    if group == .trivial { return group.rawValue }
    switch form {
    case .whole: return group.rawValue
    case .heads(let heads): return description(of: heads)
    case .sameOrder(let other):
      return "permutation as \(other)" + (group == .permutation ? "" : ", signs of its own")
    }
  }

  private func description(of form: HeadsForm) -> String {
    let shared = form.groups < form.heads ? ", \(form.groups) groups" : ""
    let sizes = "(\(form.heads) x \(form.headWidth)\(shared))"
    // A permutation inside a head would separate the two coordinates of a plane, so only the heads move.
    if form.isRotary && group == .permutation { return "heads permuted \(sizes)" }
    let inside =
      switch (group, form.isRotary) {
      case (.orthogonal, true): "plane rotations"
      case (.signedPermutation, true): "quarter turns of planes"
      default: group.rawValue
      }
    return "\(inside) per head \(sizes)" + (permutesHeads ? ", heads permuted" : "")
  }
}

extension KeyPlanRow {
  /// Of an input space: how many independent rows with their plaintext give its key, and with it every other row.
  ///
  /// Under an orthogonal key d, the rows' columns without the constant: x'ᵢ · x' = xᵢ · x + 1 whatever the key, so that d known rows are d linear equations
  /// for any other; δ need not be known, which takes one row more without the key's orthogonality (Liu, Giannella and Kargupta, PKDD 2006). Where values are
  /// only moved 1, as far as they differ; where nothing is masked 0.
  package var knownRowsToKey: Int {
    switch group {
    case .trivial: 0
    case .permutation, .signedPermutation: 1
    case .orthogonal: homogeneous?.features ?? width
    }
  }
}

/// The space is coded as its bare name, so that `plan --json` reads `"space": "input"`; a form that is not whole as `heads` or
/// `sameOrderAs`, and heads in their order as `permutesHeads` false.
extension KeyPlanRow: Codable {
  private enum CodingKeys: String, CodingKey {
    case space, width, group, decidedBy, homogeneous, heads, sameOrderAs, permutesHeads
  }

  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    space = SpaceID(try container.decode(String.self, forKey: .space))
    width = try container.decode(Int.self, forKey: .width)
    group = try container.decode(SymmetryGroup.self, forKey: .group)
    decidedBy = try container.decode(String.self, forKey: .decidedBy)
    homogeneous = try container.decodeIfPresent(HomogeneousColumns.self, forKey: .homogeneous)
    let heads = try container.decodeIfPresent(HeadsForm.self, forKey: .heads)
    let other = try container.decodeIfPresent(String.self, forKey: .sameOrderAs)
    form = heads.map { .heads($0) } ?? other.map { .sameOrder(as: $0) } ?? .whole
    permutesHeads = try container.decodeIfPresent(Bool.self, forKey: .permutesHeads) ?? true
  }

  package func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(space.name, forKey: .space)
    try container.encode(width, forKey: .width)
    try container.encode(group, forKey: .group)
    try container.encode(decidedBy, forKey: .decidedBy)
    try container.encodeIfPresent(homogeneous, forKey: .homogeneous)
    switch form {
    case .whole: break
    case .heads(let heads): try container.encode(heads, forKey: .heads)
    case .sameOrder(let other): try container.encode(other, forKey: .sameOrderAs)
    }
    if !permutesHeads { try container.encode(permutesHeads, forKey: .permutesHeads) }
  }
}
