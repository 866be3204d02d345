import ArgumentParser
import Transport

/// Who the owner is and which trainer it means.
struct KeyOptions: ParsableArguments {
  @Option(help: "Directory with owner.key, as `encryptor keygen` makes it.", completion: .directory)
  var keys: String

  @Option(help: "The trainer's public key file (trainer.pub); no other trainer is spoken to.", completion: .file())
  var trainerKey: String

  func owner() throws -> CurveKeyPair {
    try KeyFile(.owner, in: keys).readKeyPair()
  }

  func trainer() throws -> CurvePublicKey {
    try KeyFile.readPublicKey(at: trainerKey)
  }
}
