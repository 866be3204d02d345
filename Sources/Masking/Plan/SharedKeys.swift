internal import Architecture

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
