import Architecture

extension Model {
  init(bert description: TransformerDescription) throws(TrainingError) {
    throw .invalidModel("BERT models are not built yet")
  }
}
