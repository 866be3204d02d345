import ArgumentParser
import Foundation
import Foundations
import JobSpec
import OwnerRole
import Protocol

struct PredictCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predict", abstract: "Masked inference with the model of a finished run, once.",
    discussion: """
      A deployment of one use: the model is masked under a key made for this prediction, uploaded, asked and taken down. Ask more than once with \
      `encryptor deploy` and `encryptor query`. Writes `predictions` (class ids, 0/1 or values), \
      `probabilities` and the raw `outputs`, one row a row of the data. Columns are found by their names where the training data had \
      names; a column that is missing is an error (exit 3). After a job \
      with masking.noise the rows to predict are sent with noise of the same deviation, drawn afresh each time from the system's \
      generator, so that two predictions of one row differ by what the noise does.

      A site's run of a federation knows no trainer: give --trainer, --trainer-key and --keys.

      Example: encryptor predict runs/pbmc --data new.h5ad --out predictions.h5
      """)

  @Argument(help: ArgumentHelp("The run directory.", valueName: "run"), completion: .directory)
  var directory: String

  @OptionGroup var waiting: PatienceOption
  @OptionGroup var place: ListenOption<OwnerWords>
  @OptionGroup var processing: ThreadsOption<OwnerWords>

  @Option(help: "An HDF5 file with the same features as the training data.", completion: .file())
  var data: String

  @Option(help: "Path of the features or token ids in it. (default: data.features or data.tokens of the job)")
  var features: String?

  @Option(name: .customLong("out"), help: "The HDF5 file to write.", completion: .file())
  var output: String

  @Option(help: ArgumentHelp("The trainer's address. (default: that of the run)", valueName: "address"))
  var trainer: String?

  @Option(help: "The trainer's public key file. (default: that of the run)", completion: .file())
  var trainerKey: String?

  @Option(help: "Directory with owner.key. (default: that of the run)", completion: .directory)
  var keys: String?

  func run() throws {
    let source = try ModelSource.find(URL(filePath: directory), task: nil, pool: nil, strength: nil, maximumTokens: nil)
    let model = try source.open(warn: { StandardError.write("warning: \($0)\n") })
    let host = try host(source)
    let place = try TrainerPlace(
      endpoint: host.address, listen: place.listen, ownerKeys: host.owner, trainerKey: host.key)
    defer { place.channel.close() }
    let progress = CountDisplay("predicting")
    let rows = try Prediction<Float>(
      model: model, owner: host.owner, channel: place.channel,
      options: RunOptions(
        compute: processing.compute, patience: .seconds(waiting.patience), software: Release.software, peer: place.peer)
    ).write(data: data, features: features, to: URL(filePath: output), progress: { progress.show($0, of: $1) })
    progress.end()
    print("\(rows) rows: \(output)")
  }

  private func host(_ source: ModelSource) throws -> (address: String, key: CurvePublicKey, owner: CurveKeyPair) {
    let state = source.kind == .run ? try RunState.load(RunDirectory(root: URL(filePath: directory))) : nil
    guard let address = trainer ?? state?.trainer, let keys = keys ?? state?.keys else {
      throw OwnerError.unfitJob(
        "\(directory) knows no trainer: give --trainer tcp://HOST:PORT, --trainer-key FILE and --keys DIR")
    }
    let known = trainerKey == nil ? state.flatMap { CurvePublicKey(z85: $0.trainerKey) } : nil
    guard let key = try known ?? trainerKey.map({ try KeyFile.readPublicKey(at: $0) }) else {
      throw OwnerError.unfitJob("\(directory) knows no trainer's key: give --trainer-key FILE")
    }
    return (address, key, try KeyFile(.owner, in: keys).readKeyPair())
  }
}
