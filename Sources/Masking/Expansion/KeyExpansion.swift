internal import Architecture
internal import Tensors

/// Draws the key of one space from the master key: what the labels `job/space/kind` mean.
struct KeyExpansion {
  let master: MasterKey
  let workers: Workers

  func key<Element: FloatingElement>(_ row: KeyPlanRow) -> any SpaceKey<Element> {
    switch row.group {
    case .trivial:
      return IdentityKey(width: row.width)
    case .permutation:
      return PermutationKey(GatherTable(sources: order(row), factors: nil))
    case .signedPermutation:
      return PermutationKey(GatherTable(sources: order(row), factors: signs(row)))
    case .orthogonal:
      let columns = master.stream(row.space, kind: "orthogonal").substreams()
      return OrthogonalKey(transposed: HaarExpansion(width: row.width, workers: workers).transposedKey(stream: columns))
    }
  }

  private func order(_ row: KeyPlanRow) -> SecretTensor<Int32> {
    SecretTensor(shape: [row.width]) { order in
      for index in order.indices { order[index] = Int32(index) }
      master.stream(row.space, kind: "permutation").shuffle(order)
    }
  }

  private func signs<Element: FloatingElement>(_ row: KeyPlanRow) -> SecretTensor<Element> {
    let stream = master.stream(row.space, kind: "signs")
    return SecretTensor(shape: [row.width]) { signs in
      for index in signs.indices { signs[index] = stream.nextInteger(below: 2) == 0 ? 1 : -1 }
    }
  }
}
