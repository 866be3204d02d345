package import Models

/// Gives every space the largest group that all operations on it, the loss and the job's strength allow.
package enum KeyResolver {
  /// Coordinates of the output above which no orthogonal key is drawn for it: one takes n × n numbers and 4/3 n³ operations,
  /// for a vocabulary of 32,000 already 4 GB and 4 · 10¹³.
  package static let widestOrthogonalOutput = 4096

  /// - Throws: `MaskingError.notExact` when the strength asks for more than the optimizer commutes with and the job wants
  ///   exactness; `MaskingError.unknownSpace` when a constraint or a form names a space the model does not have;
  ///   `MaskingError.spaceForm` when the sizes of a form do not fit its space or one another.
  package static func resolve(
    structure: ModelStructure, masking: MaskingDescription, optimizer: OptimizerDescription,
    lossConstraint: SpaceConstraint
  ) throws(MaskingError) -> KeyPlan {
    try check(optimizer, under: masking, spaces: structure.spaces, input: structure.input)
    for constraint in structure.constraints + [lossConstraint] where structure.space(constraint.space) == nil {
      throw .unknownSpace(constraint.space)
    }
    let drafts = structure.spaces.map { space in
      draft(of: space, structure: structure, strength: masking.strength, lossConstraint: lossConstraint)
    }
    let rows = try SharedKeys(drafts).resolved()
    guard let input = rows.first(where: { $0.space == structure.input }) else { throw .unknownSpace(structure.input) }
    guard let output = rows.first(where: { $0.space == structure.output }) else {
      throw .unknownSpace(structure.output)
    }
    return KeyPlan(rows: rows, input: input, output: output)
  }

  /// Operations narrow a key silently, because masked training stays what was asked for; an optimizer is the job's own
  /// choice, so it is refused instead, whatever the operations leave of the strength. Once this passes, the optimizer
  /// allows all that the strength can give and narrows nothing.
  private static func check(
    _ optimizer: OptimizerDescription, under masking: MaskingDescription, spaces: [Space], input: SpaceID
  ) throws(MaskingError) {
    guard masking.exact else { return }
    for space in spaces where optimizer.largestGroup < masking.strength.largestGroup(onInput: space.id == input) {
      throw .notExact(optimizer: optimizer.kind, largest: optimizer.largestGroup, strength: masking.strength)
    }
  }

  /// The smallest constraint decides. Of equals the earlier in this order is named, as the more telling: an operation that
  /// narrows (no setting can change it), the loss (moving it can), the strength; an operation that allows every key
  /// explains nothing and comes last.
  private static func draft(
    of space: Space, structure: ModelStructure, strength: MaskingStrength, lossConstraint: SpaceConstraint
  ) -> KeyPlanRow {
    let operations = structure.constraints.filter { $0.space == space.id }
    var candidates = operations.filter { $0.largest < .orthogonal }
    if lossConstraint.space == space.id { candidates.append(lossConstraint) }
    let asked = SpaceConstraint(
      space: space.id, largest: strength.largestGroup(onInput: space.id == structure.input),
      reason: "masking.strength: \(strength.rawValue)")
    candidates.append(asked)
    var decisive = candidates.reduce(candidates[0]) { $1.largest < $0.largest ? $1 : $0 }
    if space.id == structure.output, space.width > widestOrthogonalOutput, decisive.largest == .orthogonal {
      decisive = SpaceConstraint(
        space: space.id, largest: .permutation,
        reason: "\(space.width) outputs: an orthogonal key of that many coordinates is not drawn")
    }
    return KeyPlanRow(
      space: space.id, width: space.width, group: decisive.largest, decidedBy: decisive.reason,
      homogeneous: space.homogeneous, form: space.form)
  }
}

/// What the loss allows on the output space, by who computes it.
package enum LossRules {
  /// - Parameter labelsMissing: some entry of the label matrix is NaN; the trainer must then know which output an
  ///   observed label belongs to, so outputs may be reordered and not mixed.
  package static func constraint(
    on output: SpaceID, task: LearningTask, location: LossLocation, labelsMissing: Bool
  ) -> SpaceConstraint {
    let (largest, reason): (SymmetryGroup, String) =
      switch (location, task) {
      case (.owner, _): (.orthogonal, "loss at the owner")
      case (.trainer, .classification), (.trainer, .tokenClassification), (.trainer, .causalLanguageModel):
        (.permutation, "softmax cross-entropy at the trainer")
      case (.trainer, .multilabel): (.permutation, "binary cross-entropy at the trainer")
      case (.trainer, .regression) where labelsMissing:
        (.permutation, "squared error with missing labels at the trainer")
      case (.trainer, .regression): (.orthogonal, "squared error at the trainer")
      // The likelihood compares risks with each other: only their own order and sign leave it as it is.
      case (.trainer, .survival): (.trivial, "partial likelihood at the trainer")
      }
    return SpaceConstraint(space: output, largest: largest, reason: reason)
  }
}

/// Narrows spaces that share key material until what they share is the same in all of them: the key of a head, the order of
/// the heads, the order of a gated pair.
struct SharedKeys {
  private var rows: [KeyPlanRow]

  /// - Parameter rows: what each space would get by itself.
  init(_ rows: [KeyPlanRow]) {
    self.rows = rows
  }

  /// - Throws: `MaskingError.unknownSpace`, `MaskingError.spaceForm`.
  consuming func resolved() throws(MaskingError) -> [KeyPlanRow] {
    for row in rows { try check(row) }
    // Each round narrows some space by at least one step of four or is the last.
    var before: [KeyPlanRow] = []
    while before != rows {
      before = rows
      for row in rows {
        switch row.form {
        case .whole: break
        case .heads(let form): align(row, form)
        case .sameOrder(let leader): align(row, with: SpaceID(leader))
        }
      }
    }
    return rows
  }

  /// Sizes that contradict one another would let a key read past its coordinates or mix the wrong ones.
  private func check(_ row: KeyPlanRow) throws(MaskingError) {
    switch row.form {
    case .whole: return
    case .heads(let form):
      guard form.groups > 0, form.headWidth > 0, form.heads > 0, form.heads.isMultiple(of: form.groups) else {
        throw .spaceForm(row.space, problem: "its heads do not divide into groups")
      }
      guard form.heads.multipliedReportingOverflow(by: form.headWidth) == (row.width, false) else {
        throw .spaceForm(row.space, problem: "its heads do not fill its width")
      }
      guard !form.isRotary || form.headWidth.isMultiple(of: 2) else {
        throw .spaceForm(row.space, problem: "a head of odd width has no planes")
      }
      for case (let other, .heads(let otherForm)) in rows.map({ ($0.space, $0.form) })
      where otherForm.attention == form.attention {
        let sharesKeys = otherForm.rotation == form.rotation
        guard otherForm.groups == form.groups,
          otherForm.heads == form.heads || otherForm.heads == form.groups || form.heads == form.groups,
          !sharesKeys || (otherForm.headWidth == form.headWidth && otherForm.isRotary == form.isRotary)
        else { throw .spaceForm(row.space, problem: "its heads are not those of \(other)") }
      }
    case .sameOrder(let name):
      guard let leader = rows.first(where: { $0.space.name == name }) else { throw .unknownSpace(SpaceID(name)) }
      guard leader.form == .whole, leader.width == row.width else {
        throw .spaceForm(row.space, problem: "\(name) has no order for it to follow")
      }
    }
  }

  private mutating func align(_ row: KeyPlanRow, _ form: HeadsForm) {
    for index in rows.indices {
      guard case .heads(let other) = rows[index].form, other.attention == form.attention else { continue }
      if other.rotation == form.rotation { narrow(index, to: row.group, because: row.decidedBy) }
      if row.group == .trivial { keepHeads(index, because: row.decidedBy) }
    }
  }

  private mutating func align(_ follower: KeyPlanRow, with leader: SpaceID) {
    guard let leading = rows.firstIndex(where: { $0.space == leader }),
      let following = rows.firstIndex(where: { $0.space == follower.space })
    else { return }
    // Signs may differ, the order may not, and a rotation has none.
    let orderOnly = SymmetryGroup.signedPermutation
    narrow(following, to: orderOnly, because: "order shared with \(leader)")
    narrow(leading, to: orderOnly, because: "order shared with \(follower.space)")
    if rows[leading].group == .trivial { narrow(following, to: .trivial, because: rows[leading].decidedBy) }
    if rows[following].group == .trivial { narrow(leading, to: .trivial, because: rows[following].decidedBy) }
  }

  private mutating func narrow(_ index: Int, to largest: SymmetryGroup, because reason: String) {
    guard largest < rows[index].group else { return }
    replace(index, group: largest, decidedBy: reason, permutesHeads: rows[index].permutesHeads)
  }

  /// Planes cannot be permuted, so of a permutation of rotary heads in their order nothing is left.
  private mutating func keepHeads(_ index: Int, because reason: String) {
    guard case .heads(let form) = rows[index].form else { return }
    let row = rows[index]
    let isEmpty = form.isRotary && row.group == .permutation
    replace(
      index, group: isEmpty ? .trivial : row.group, decidedBy: isEmpty ? reason : row.decidedBy, permutesHeads: false)
  }

  private mutating func replace(_ index: Int, group: SymmetryGroup, decidedBy: String, permutesHeads: Bool) {
    let row = rows[index]
    rows[index] = KeyPlanRow(
      space: row.space, width: row.width, group: group, decidedBy: decidedBy, homogeneous: row.homogeneous,
      form: row.form, permutesHeads: permutesHeads)
  }
}
