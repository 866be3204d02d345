package import Masking
package import Transport

/// What batch orders and starting weights are drawn from: the owner's key and the job's `train.seed`.
///
/// Not the seed alone: a seed is small and stands in the job file, and starting weights that the provider could draw for itself would be a
/// public base model, from which masked weights give the keys away. With the owner's key in it, the same owner, job and seed
/// still give the same run.
package struct OrderSecret: Sendable {
  private let owner: CurveKeyPair
  private let seed: Int

  package init(owner: CurveKeyPair, seed: Int) {
    self.owner = owner
    self.seed = seed
  }

  /// From a key made for the purpose: for checks in one process that nobody repeats.
  ///
  /// - Throws: `TransportError` when libzmq was built without CURVE.
  package init(ephemeralWithSeed seed: Int) throws {
    self.init(owner: try CurveKeyPair.generate(), seed: seed)
  }

  /// The public half of the key, z85.
  var ownerKey: String { owner.publicKey.z85 }

  package func stream(label: String) -> KeyStream {
    owner.withSecretBytes { KeyStream(secret: $0, label: "orders and starting weights/seed \(seed)/\(label)") }
  }
}
