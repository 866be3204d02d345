internal import Architecture
internal import Synchronization
internal import Tensors

/// One space's key, expanded when first asked for; other spaces can be expanded meanwhile.
final class ExpandedKey<Element: FloatingElement>: Sendable {
  let row: KeyPlanRow
  private let expansion: KeyExpansion
  private let expanded = Mutex<(any SpaceKey<Element>)?>(nil)

  init(_ row: KeyPlanRow, _ expansion: KeyExpansion) {
    self.row = row
    self.expansion = expansion
  }

  func key() -> any SpaceKey<Element> {
    expanded.withLock { expanded in
      if let key = expanded { return key }
      let key: any SpaceKey<Element> = expansion.key(row)
      expanded = key
      return key
    }
  }
}
