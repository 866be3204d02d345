internal import Cryptography
internal import Models
internal import Foundation
internal import Numerics

/// Draws what the spaces of an attention layer share: the order of groups and heads by labels of the layer, the key of each
/// group by labels of the layer and the rotation. Equal labels give equal numbers, however many heads a space has.
struct HeadsExpansion {
  let master: MasterKey
  let form: HeadsForm
  let permutesHeads: Bool
  let workers: Workers

  private var headsInGroup: Int { form.heads / form.groups }
  /// Planes of a rotary head: coordinates i and i + planes turn together.
  private var planes: Int { form.headWidth / 2 }

  func orthogonalKey<Element: FloatingElement>() -> HeadsKey<Element> {
    HeadsKey(sources: order, transposed: form.isRotary ? planeRotations() : rotations())
  }

  /// A permutation of all coordinates: of the heads, and within each.
  ///
  /// - Parameter signed: whether coordinates may change sign; of rotary heads, whether planes turn by quarters, the only
  ///   signed permutations that the rotation by position commutes with besides none at all.
  func table<Element: FloatingElement>(signed: Bool) -> GatherTable<Element> {
    let (order, inside, headWidth) = (order, inside(signed: signed) as GatherTable<Element>, form.headWidth)
    func gather<Value>(
      _ values: SecretTensor<Value>, _ combine: (_ head: Int, Value) -> Value
    ) -> SecretTensor<Value> {
      SecretTensor(shape: [form.heads * headWidth]) { result in
        order.withUnsafeBufferPointer { order in
          values.withUnsafeBufferPointer { values in
            for index in result.indices {
              let head = Int(order[index / headWidth])
              result[index] = combine(head, values[head / headsInGroup * headWidth + index % headWidth])
            }
          }
        }
      }
    }
    let sources = gather(inside.sources) { head, source in Int32(head * headWidth) + source }
    return GatherTable(sources: sources, factors: inside.factors.map { gather($0) { $1 } })
  }

  private func stream(_ kind: String, group: Int) -> KeyStream {
    master.stream(SpaceID("\(form.attention)/\(form.rotation)"), kind: "\(kind) \(group)")
  }

  /// `[heads]`: the head that goes to each place. Groups stay together, because a query head finds its keys and values by
  /// its place.
  private var order: SecretTensor<Int32> {
    let attention = SpaceID(form.attention)
    let (groups, headsInGroup) = (form.groups, headsInGroup)
    let groupOrder = SecretTensor<Int32>(shape: [groups]) { order in
      for index in order.indices { order[index] = Int32(index) }
      if permutesHeads { master.stream(attention, kind: "groups").shuffle(order) }
    }
    let streams = master.stream(attention, kind: "heads").substreams()
    return SecretTensor(shape: [form.heads]) { order in
      groupOrder.withUnsafeBufferPointer { groupOrder in
        for (place, group) in groupOrder.enumerated() {
          let heads = UnsafeMutableBufferPointer(
            rebasing: order[place * headsInGroup..<(place + 1) * headsInGroup])
          for index in heads.indices { heads[index] = group * Int32(headsInGroup) + Int32(index) }
          if permutesHeads { streams(Int(group)).shuffle(heads) }
        }
      }
    }
  }

  /// Rᵀ of each group, Haar. Drawn in Double, which is cheap at this width and leaves only the rounding of the result.
  private func rotations<Element: FloatingElement>() -> SecretTensor<Element> {
    let width = form.headWidth
    let haar = HaarExpansion<Double>(width: width, workers: workers)
    return SecretTensor(shape: [form.groups * width, width]) { target in
      for group in 0..<form.groups {
        let part = target[group * width * width..<(group + 1) * width * width]
        haar.transposedKey(stream: stream("head", group: group).substreams())
          .copy(rows: 0..<width, columns: 0..<width, into: UnsafeMutableBufferPointer(rebasing: part))
      }
    }
  }

  /// Rᵀ of each group, a rotation by a uniform angle in each plane.
  private func planeRotations<Element: FloatingElement>() -> SecretTensor<Element> {
    let (width, planes) = (form.headWidth, planes)
    return SecretTensor(shape: [form.groups * width, width]) { target in
      target.update(repeating: 0)
      for group in 0..<form.groups {
        let stream = stream("head", group: group)
        for plane in 0..<planes {
          let angle = 2 * Double.pi * stream.nextUniform()
          let (first, second) = (group * width + plane, group * width + plane + planes)
          target[first * width + plane] = Element(cos(angle))
          target[first * width + plane + planes] = Element(sin(angle))
          target[second * width + plane] = Element(-sin(angle))
          target[second * width + plane + planes] = Element(cos(angle))
        }
      }
    }
  }

  /// What happens inside a head of each group: `[groups · headWidth]`, sources counted from the head's first coordinate.
  private func inside<Element: FloatingElement>(signed: Bool) -> GatherTable<Element> {
    form.isRotary ? quarterTurns(drawn: signed) : insideOrders(signed: signed)
  }

  private func insideOrders<Element: FloatingElement>(signed: Bool) -> GatherTable<Element> {
    let (groups, width) = (form.groups, form.headWidth)
    let sources = SecretTensor<Int32>(shape: [groups * width]) { sources in
      for index in sources.indices { sources[index] = Int32(index % width) }
      for group in 0..<groups {
        let head = UnsafeMutableBufferPointer(rebasing: sources[group * width..<(group + 1) * width])
        stream("head", group: group).shuffle(head)
      }
    }
    guard signed else { return GatherTable(sources: sources, factors: nil) }
    let signs = SecretTensor<Element>(shape: [groups * width]) { signs in
      for group in 0..<groups {
        let stream = stream("signs", group: group)
        for index in 0..<width { signs[group * width + index] = stream.nextInteger(below: 2) == 0 ? 1 : -1 }
      }
    }
    return GatherTable(sources: sources, factors: signs)
  }

  /// (a, b) of a plane becomes (a, b), (−b, a), (−a, −b) or (b, −a).
  private func quarterTurns<Element: FloatingElement>(drawn: Bool) -> GatherTable<Element> {
    let (groups, width, planes) = (form.groups, form.headWidth, planes)
    let turns = SecretTensor<Int32>(shape: [groups * planes]) { turns in
      for group in 0..<groups {
        let stream = stream("head", group: group)
        for plane in 0..<planes { turns[group * planes + plane] = drawn ? Int32(stream.nextInteger(below: 4)) : 0 }
      }
    }
    func coordinates<Value>(_ value: (_ turns: Int32, _ isSecond: Bool, _ plane: Int) -> Value) -> SecretTensor<Value> {
      SecretTensor(shape: [groups * width]) { result in
        turns.withUnsafeBufferPointer { turns in
          for index in result.indices {
            let (group, coordinate) = (index / width, index % width)
            let plane = coordinate % planes
            result[index] = value(turns[group * planes + plane], coordinate >= planes, plane)
          }
        }
      }
    }
    let sources: SecretTensor<Int32> = coordinates { turns, isSecond, plane in
      Int32(isSecond == (turns % 2 == 0) ? plane + planes : plane)
    }
    guard drawn else { return GatherTable(sources: sources, factors: nil) }
    let factors: SecretTensor<Element> = coordinates { turns, isSecond, _ in
      turns == 2 || turns == (isSecond ? 3 : 1) ? -1 : 1
    }
    return GatherTable(sources: sources, factors: factors)
  }
}
