internal import Architecture
internal import Tensors

/// Draws the key of one space from the master key: what the labels `job/space/kind` mean.
struct KeyExpansion {
  let master: MasterKey
  let workers: Workers

  func key<Element: FloatingElement>(_ row: KeyPlanRow) -> any SpaceKey<Element> {
    switch (row.group, row.form) {
    case (.trivial, _):
      return IdentityKey(width: row.width)
    case (.orthogonal, .heads(let form)):
      return heads(form, row).orthogonalKey()
    case (_, .heads(let form)):
      return PermutationKey(heads(form, row).table(signed: row.group == .signedPermutation))
    case (.permutation, _):
      return PermutationKey(GatherTable(sources: order(row), factors: nil))
    case (.signedPermutation, _):
      return PermutationKey(GatherTable(sources: order(row), factors: signs(row)))
    case (.orthogonal, _):
      let columns = master.stream(row.space, kind: "orthogonal").substreams()
      return OrthogonalKey(transposed: HaarExpansion(width: row.width, workers: workers).transposedKey(stream: columns))
    }
  }

  private func heads(_ form: HeadsForm, _ row: KeyPlanRow) -> HeadsExpansion {
    HeadsExpansion(master: master, form: form, permutesHeads: row.permutesHeads, workers: workers)
  }

  /// By the label of the space whose order it is.
  private func order(_ row: KeyPlanRow) -> SecretTensor<Int32> {
    let owner = if case .sameOrder(let other) = row.form { SpaceID(other) } else { row.space }
    return SecretTensor(shape: [row.width]) { order in
      for index in order.indices { order[index] = Int32(index) }
      master.stream(owner, kind: "permutation").shuffle(order)
    }
  }

  private func signs<Element: FloatingElement>(_ row: KeyPlanRow) -> SecretTensor<Element> {
    let stream = master.stream(row.space, kind: "signs")
    return SecretTensor(shape: [row.width]) { signs in
      for index in signs.indices { signs[index] = stream.nextInteger(below: 2) == 0 ? 1 : -1 }
    }
  }
}
