"""The models of benchmarks/clients.py: networks with random weights, and what they are called with."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Method(nn.Module):
    """A model of which another method than its forward is called."""

    def __init__(self, model: nn.Module, method: str) -> None:
        super().__init__()
        self.model, self.method = model, method

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The method's result."""
        return getattr(self.model, self.method)(*args, **kwargs)


Made = tuple[nn.Module, tuple[Any, ...], dict[str, Any]]


def of(module: str, name: str) -> Any:
    """A name of a module of some package."""
    return getattr(importlib.import_module(module), name)


def hugging(model: str, name: str) -> Any:
    return of(f"transformers.models.{model}.modeling_{model}", name)


def configured(model: str, name: str, **kwargs: Any) -> Any:
    return of(f"transformers.models.{model}.configuration_{model}", name)(**kwargs)


def sam() -> Made:
    decoder = hugging("sam", "SamMaskDecoder")(
        configured("sam", "SamMaskDecoderConfig", attn_implementation="eager")
    )
    x, prompts = torch.randn(1, 256, 64, 64), torch.randn(1, 1, 2, 256)
    return decoder, (x, torch.randn_like(x), prompts, torch.randn_like(x), True), {}


def sam2() -> Made:
    config = configured("sam2", "Sam2MaskDecoderConfig", attn_implementation="eager")
    decoder = hugging("sam2", "Sam2MaskDecoder")(config)
    x, prompts = torch.randn(1, 256, 64, 64), torch.randn(1, 1, 2, 256)
    finer = [torch.randn(1, 32, 256, 256), torch.randn(1, 64, 128, 128)]
    return decoder, (x, torch.randn_like(x), prompts, torch.randn_like(x), True, finer), {}


def encodec_hf() -> Made:
    model = hugging("encodec", "EncodecModel")(configured("encodec", "EncodecConfig"))
    return model.decoder, (torch.randn(1, 128, 75),), {}


def speecht5() -> Made:
    model = hugging("speecht5", "SpeechT5HifiGan")(configured("speecht5", "SpeechT5HifiGanConfig"))
    return model, (torch.randn(40, 80),), {}


def vits() -> Made:
    config = configured("vits", "VitsConfig", hidden_size=64, ffn_dim=128, num_hidden_layers=2, flow_size=64,
                        spectrogram_bins=129, upsample_initial_channel=256)  # fmt: skip
    model = hugging("vits", "VitsModel")(config)
    return model, (torch.randint(1, 30, (1, 12)),), {}


def vitpose() -> Made:
    backbone = configured("vitpose_backbone", "VitPoseBackboneConfig", hidden_size=192, num_hidden_layers=2,
                          num_attention_heads=3, out_indices=[2])  # fmt: skip
    config = configured("vitpose", "VitPoseConfig", backbone_config=backbone, use_simple_decoder=False)
    return hugging("vitpose", "VitPoseForPoseEstimation")(config), (torch.randn(1, 3, 256, 192),), {}


def dpt_hf() -> Made:
    config = configured("dpt", "DPTConfig", hidden_size=192, num_hidden_layers=4, num_attention_heads=3,
                        intermediate_size=384, backbone_out_indices=[0, 1, 2, 3], image_size=192)  # fmt: skip
    return hugging("dpt", "DPTForDepthEstimation")(config), (torch.randn(1, 3, 192, 192),), {}


def beit() -> Made:
    config = configured("beit", "BeitConfig", hidden_size=192, num_hidden_layers=4, num_attention_heads=3,
                        intermediate_size=384, out_indices=[1, 2, 3, 4], image_size=224)  # fmt: skip
    return hugging("beit", "BeitForSemanticSegmentation")(config), (torch.randn(1, 3, 224, 224),), {}


def clipseg() -> Made:
    small = {"hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 256}
    options = {"extract_layers": [0, 1, 2], "use_complex_transposed_convolution": True}
    sizes = {"text_config": small, "vision_config": {**small, "image_size": 176}}
    config = configured("clipseg", "CLIPSegConfig", **sizes, **options)
    model = hugging("clipseg", "CLIPSegForImageSegmentation")(config)
    given = {"input_ids": torch.randint(1, 99, (1, 8)), "pixel_values": torch.randn(1, 3, 176, 176)}
    return model, (), given


def eomt() -> Made:
    config = configured("eomt", "EomtConfig", hidden_size=192, num_hidden_layers=4, num_attention_heads=3,
                        intermediate_size=384, image_size=256, num_blocks=1, num_queries=20)  # fmt: skip
    return hugging("eomt", "EomtForUniversalSegmentation")(config), (torch.randn(1, 3, 256, 256),), {}


def bigvgan() -> Made:
    config = configured("qwen2_5_omni", "Qwen2_5OmniBigVGANConfig", upsample_initial_channel=256)
    return hugging("qwen2_5_omni", "Qwen2_5OmniToken2WavBigVGANModel")(config), (torch.randn(1, 80, 10),), {}


def dac() -> Made:
    model = hugging("dac", "DacModel")(
        configured("dac", "DacConfig", encoder_hidden_size=32, decoder_hidden_size=384)
    )
    return model.decoder, (torch.randn(1, model.config.hidden_size, 20),), {}


def mimi() -> Made:
    config = configured("mimi", "MimiConfig", num_hidden_layers=1, hidden_size=256, intermediate_size=256,
                        num_attention_heads=4, num_key_value_heads=4, upsample_groups=256)  # fmt: skip
    model = hugging("mimi", "MimiModel")(config)
    return Method(model, "decode"), (torch.randint(0, 99, (1, 32, 12)),), {}


def univnet() -> Made:
    model = hugging("univnet", "UnivNetModel")(configured("univnet", "UnivNetConfig"))
    return model, (torch.randn(1, 40, 100),), {"noise_sequence": torch.randn(1, 40, 64)}


def fastspeech2() -> Made:
    config = configured(
        "fastspeech2_conformer", "FastSpeech2ConformerHifiGanConfig", upsample_initial_channel=256
    )
    return hugging("fastspeech2_conformer", "FastSpeech2ConformerHifiGan")(config), (torch.randn(40, 80),), {}


def monai(name: str, *args: Any, **kwargs: Any) -> Callable[[], Made]:
    def make() -> Made:
        model = of("monai.networks.nets", name)(*args, **kwargs)
        return model, (torch.randn(1, 1, 32, 32, 32),), {}

    return make


_MONAI_UNET = {
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 2,
    "channels": (16, 32, 64, 128),
    "strides": (2, 2, 2),
}


def smp(name: str, size: int = 256, **kwargs: Any) -> Callable[[], Made]:
    def make() -> Made:
        model = of("segmentation_models_pytorch", name)(encoder_weights=None, classes=5, **kwargs)
        return model, (torch.randn(1, 3, size, size),), {}

    return make


def yolo() -> Made:
    model = of("ultralytics.nn.tasks", "SegmentationModel")("yolo11n-seg.yaml", verbose=False)
    return model, (torch.rand(1, 3, 256, 256),), {}


def proto() -> Made:
    return of("ultralytics.nn.modules", "Proto")(128, 64, 32), (torch.randn(1, 128, 40, 40),), {}


def compress(whole: bool) -> Callable[[], Made]:
    def make() -> Made:
        model = of("compressai.models", "ScaleHyperprior")(64, 96)
        return (
            (model, (torch.rand(1, 3, 256, 256),), {})
            if whole
            else (model.g_s, (torch.randn(1, 96, 16, 16),), {})
        )

    return make


def encodec() -> Made:
    decoder = of("encodec.modules", "SEANetDecoder")(ratios=[8, 5, 4, 2])
    return decoder, (torch.randn(1, 128, 75),), {}


def nnunet(name: str) -> Callable[[], Made]:
    def make() -> Made:
        kind = of("dynamic_network_architectures.architectures.unet", name)
        blocks = {"n_blocks_per_stage": 2} if "Residual" in name else {"n_conv_per_stage": 2}
        model = kind(1, 4, (16, 32, 64, 128), nn.Conv3d, 3, (1, 2, 2, 2), num_classes=2,
                     n_conv_per_stage_decoder=1, norm_op=nn.InstanceNorm3d, norm_op_kwargs={},
                     nonlin=nn.LeakyReLU, nonlin_kwargs={"inplace": True}, **blocks)  # fmt: skip
        return model, (torch.randn(1, 1, 32, 32, 32),), {}

    return make


def patches() -> Made:
    kind = of("dynamic_network_architectures.building_blocks.patch_encode_decode", "PatchDecode")
    return kind((8, 8, 8), 192, 2), (torch.randn(1, 192, 6, 6, 6),), {}


def dexined() -> Made:
    return of("kornia.filters.dexined", "DexiNed")(pretrained=False), (torch.rand(1, 3, 128, 128),), {}


def pythae(kind: str, size: tuple[int, ...]) -> Callable[[], Made]:
    def make() -> Made:
        config = of("pythae.models", "AEConfig")(input_dim=size, latent_dim=16)
        names = {"mnist": "MNIST", "cifar": "CIFAR", "celeba": "CELEBA"}
        decoder = of(f"pythae.models.nn.benchmarks.{kind}", f"Decoder_ResNet_AE_{names[kind]}")(config)
        return decoder, (torch.randn(1, 16),), {}

    return make


def esrgan() -> Made:
    return of("basicsr.archs.rrdbnet_arch", "RRDBNet")(3, 3, 4, 32, 4, 16), (torch.rand(1, 3, 48, 48),), {}


def _biased_leaky_relu(x: Tensor, bias: Tensor, slope: float = 0.2, scale: float = 2**0.5) -> Tensor:
    return nn.functional.leaky_relu(x + bias.view(1, -1, *(1,) * (x.dim() - 2)), slope) * scale


def stylegan2() -> Made:
    fused = importlib.import_module("basicsr.ops.fused_act.fused_act")  # for GPUs only
    arch = importlib.import_module("basicsr.archs.stylegan2_arch")
    fused.fused_leaky_relu = arch.fused_leaky_relu = _biased_leaky_relu
    model = of("basicsr.archs.stylegan2_arch", "StyleGAN2Generator")(64, 128, 2, narrow=0.5)
    return model, ([torch.randn(1, 128)],), {"randomize_noise": False}


def diffusion() -> Made:
    model = of("denoising_diffusion_pytorch", "Unet")(32, dim_mults=(1, 2, 4))
    return model, (torch.randn(1, 3, 64, 64), torch.tensor([5])), {}


MODELS: dict[str, Callable[[], Made]] = {
    "transformers SAM mask decoder": sam,
    "transformers SAM 2 mask decoder": sam2,
    "transformers Encodec decoder": encodec_hf,
    "transformers SpeechT5HifiGan": speecht5,
    "transformers VITS": vits,
    "transformers VitPose classic": vitpose,
    "transformers DPT": dpt_hf,
    "transformers BEiT": beit,
    "transformers CLIPSeg": clipseg,
    "transformers EoMT": eomt,
    "transformers Qwen-Omni BigVGAN": bigvgan,
    "transformers DAC decoder": dac,
    "transformers Mimi decode": mimi,
    "transformers UnivNet": univnet,
    "transformers FastSpeech2Conformer HifiGan": fastspeech2,
    "monai UNet": monai("UNet", **_MONAI_UNET),
    "monai UNet, BatchNorm": monai("UNet", **_MONAI_UNET, norm="batch"),
    "monai AutoEncoder": monai("AutoEncoder", 3, 1, 2, (16, 32, 64), (2, 2, 2)),
    "monai DynUNet": monai("DynUNet", 3, 1, 2, (3, 3, 3, 3), (1, 2, 2, 2), (2, 2, 2), (16, 32, 64, 96)),
    "monai VNet": monai("VNet", 3, 1, 2),
    "monai SegResNet": monai("SegResNet", init_filters=8, in_channels=1, upsample_mode="deconv"),
    "monai UNETR": monai(
        "UNETR", 1, 2, (32, 32, 32), feature_size=8, hidden_size=96, mlp_dim=192, num_heads=4
    ),
    "smp Linknet": smp("Linknet", encoder_name="tu-resnet18"),
    "smp DPT": smp("DPT", 224, encoder_name="tu-vit_tiny_patch16_224"),
    "smp Unet": smp("Unet", encoder_name="tu-resnet18"),
    "ultralytics yolo11n-seg": yolo,
    "ultralytics Proto": proto,
    "compressai g_s": compress(False),
    "compressai ScaleHyperprior": compress(True),
    "encodec 24 kHz decoder": encodec,
    "dynamic-network-architectures PlainConvUNet": nnunet("PlainConvUNet"),
    "dynamic-network-architectures ResidualEncoderUNet": nnunet("ResidualEncoderUNet"),
    "dynamic-network-architectures PatchDecode": patches,
    "kornia DexiNed": dexined,
    "pythae ResNet decoder, MNIST": pythae("mnist", (1, 28, 28)),
    "pythae ResNet decoder, CIFAR": pythae("cifar", (3, 32, 32)),
    "pythae ResNet decoder, CelebA": pythae("celeba", (3, 64, 64)),
    "basicsr RRDBNet": esrgan,
    "basicsr StyleGAN2": stylegan2,
    "denoising-diffusion-pytorch Unet": diffusion,
}
