import Models
import LeakAudit

extension JobTraits {
  /// A job of which attacks need to know nothing in particular.
  static func sample(name: String = "sample") -> JobTraits {
    JobTraits(
      name: name, task: .classification, strength: .rotation, readsTokens: false, shufflesTokens: false, baseModel: nil,
      lossLocation: .owner, noise: nil, adapterWidth: nil, rows: 100, features: 10, epochs: 2)
  }
}
