/// A job that trains in well under a second, with single keys changed.
struct JobText {
  var task = "classification"
  var file = "data.h5"
  var features = "x"
  var labels = "y"
  var hidden = "[3]"
  var loss = "owner"
  var epochs = 2
  var batch = 16
  var keep = "best"
  var standardize = false
  var extra = ""

  var text: String {
    """
    name: tiny
    data:
      file: \(file)
      features: \(features)
      labels: \(labels)
      split: {validation: 0.25, seed: 7}
      standardize: \(standardize)
    task: \(task)
    model:
      mlp: {hidden: \(hidden), activation: relu}
    masking: {strength: rotation, padding: 1}
    loss: {where: \(loss)}
    optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
    train: {epochs: \(epochs), batch: \(batch), micro_batch: \(min(8, batch)), seed: 1, keep: \(keep)}
    checkpoint: {every_steps: 5}
    \(extra)
    """
  }
}
