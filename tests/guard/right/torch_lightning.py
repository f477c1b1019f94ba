"""Lightning: fit with ModelCheckpoint, go on from ``ckpt_path``, ``load_from_checkpoint``, test with "best"."""

import logging
import os
import warnings

import lightning as L
import torch
from digest import digest, random_states
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
L.seed_everything(14, verbose=False)


class Regression(L.LightningModule):
    def __init__(self, width=8, lr=0.01):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 1))

    def training_step(self, batch, _):
        x, y = batch
        loss = nn.functional.mse_loss(self.net(x), y)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, _):
        x, y = batch
        self.log("val_loss", nn.functional.mse_loss(self.net(x), y))

    test_step = validation_step

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.hparams.lr)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 2)}


data = TensorDataset(torch.randn(32, 4), torch.randn(32, 1))
train, val = DataLoader(data, batch_size=8), DataLoader(data, batch_size=16)


def trainer(epochs):
    best = ModelCheckpoint(
        dirpath="checkpoints", monitor="val_loss", save_top_k=1, save_last=True, filename="{epoch}"
    )
    return L.Trainer(
        max_epochs=epochs, accelerator="cpu", enable_progress_bar=False, enable_model_summary=False,
        logger=CSVLogger("logs"), log_every_n_steps=1,
        callbacks=[best, EarlyStopping("val_loss", patience=5), LearningRateMonitor()],
    )  # fmt: skip


first = trainer(3)
first.fit(Regression(), train, val)
print(os.path.basename(first.checkpoint_callback.best_model_path), sorted(os.listdir("checkpoints")))
model = Regression()
second = trainer(5)
second.fit(model, train, val, ckpt_path="checkpoints/last.ckpt")
print(second.current_epoch, second.global_step)
print(second.test(model, val, ckpt_path="best", verbose=False))
second.save_checkpoint("final.ckpt")
loaded = Regression.load_from_checkpoint("final.ckpt")
loaded.eval()
plain = Regression(**torch.load("final.ckpt", weights_only=False)["hyper_parameters"])
plain.load_state_dict(torch.load("final.ckpt", weights_only=False)["state_dict"])
print(
    loaded.hparams.width, digest(model.state_dict(), loaded.state_dict(), plain.state_dict()), random_states()
)
