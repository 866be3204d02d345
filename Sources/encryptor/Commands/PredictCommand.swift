import Foundations
import JobSpec
import ArgumentParser
import Datasets
import Foundation
import OwnerRole
import Protocol

struct PredictCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predict", abstract: "Masked inference with the model of a finished run.",
    discussion: """
      Rows and weights are masked under a key made for this prediction. Writes `predictions` (class ids, 0/1 or values), \
      `probabilities` and the raw `outputs`, one row a row of the data. Columns are found by their names where the training data had \
      names; a column that is missing is an error (exit 3). After a job \
      with masking.noise the rows to predict are sent with noise of the same deviation, drawn afresh each time from the system's \
      generator, so that two predictions of one row differ by what the noise does.

      Example: encryptor predict runs/pbmc --data new.h5ad --out predictions.h5
      """)

  @OptionGroup var selected: RunDirectoryOption
  @OptionGroup var waiting: PatienceOption
  @OptionGroup var place: ListenOption<OwnerWords>
  @OptionGroup var processing: ThreadsOption<OwnerWords>

  @Option(help: "An HDF5 file with the same features as the training data.", completion: .file())
  var data: String

  @Option(help: "Path of the features or token ids in it. (default: data.features or data.tokens of the job)")
  var features: String?

  @Option(name: .customLong("out"), help: "The HDF5 file to write.", completion: .file())
  var output: String

  func run() throws {
    let opened = try selected.open()
    guard opened.state.phase == .finished else {
      throw OwnerError.run("the run is \(opened.state.phase.rawValue), not finished; resume or retrieve it first")
    }
    let shape = try opened.shape()
    let model = ModelDirectory(opened.directory.model)
    let source = try SampleSource.forPrediction(
      shape, file: data, features: features, names: try model.readNames(),
      warn: { StandardError.write("warning: \($0)\n") })
    let connection = try opened.greet(job: .random(), listen: place.listen, patience: waiting.patience)
    defer { connection.close() }
    let progress = CountDisplay("predicting")
    try Prediction(
      shape: shape, model: model, connection: connection, compute: processing.compute
    ).write(
      source: source, to: URL(filePath: output), patience: .seconds(waiting.patience),
      progress: { progress.show($0, of: $1) })
    progress.end()
    print("\(source.rows) rows: \(output)")
  }
}
