"""What the fit minimises: differentiable forms of the measures that speech enhancement is judged by, in torch."""

from __future__ import annotations

import numpy as np
import torch

RATE_HZ = 16_000

# ITU-T P.862 (2001) and P.862.2 (2007), wide-band tables: FFT bins per band, absolute threshold (power), and the factor
# that makes rectangular bands of different width equal.
BINS_PER_BAND = (
    *(1,) * 8, 2, *(1,) * 5, 2, 1, 1, *(2,) * 8, *(3,) * 4, 4, 3, 4, 5, 4, 5, 6, 6, 7, 8, 9, 9, 12, 12, 15, 16, 18, 21,
    25, 20,
)  # fmt: skip
THRESHOLD = (
    51286152.0, 2454709.5, 70794.59, 4897.789, 1174.898, 389.0452, 104.7129, 45.70882, 17.78280, 9.772372, 4.897789,
    3.090296, 1.905461, 1.258925, 0.977237, 0.724436, 0.562341, 0.457088, 0.389045, 0.331131, 0.295121, 0.269153,
    0.257040, 0.251189, 0.251189, 0.251189, 0.251189, 0.263027, 0.288403, 0.309030, 0.338844, 0.371535, 0.398107,
    0.436516, 0.467735, 0.489779, 0.501187, 0.501187, 0.512861, 0.524807, 0.524807, 0.524807, 0.512861, 0.478630,
    0.426580, 0.371535, 0.363078, 0.416869, 0.537032,
)  # fmt: skip
BAND_FACTOR = (
    100, 100, 100, 100, 100, 100, 100, 100, 50, 100, 100, 100, 100, 100, 53.04708, 110, 117.992, 65, 68.76015, 70,
    71.42882, 75, 76.84338, 80.96878, 88.64613, 63.86439, 68.15535, 72.54778, 75.58483, 58.37919, 80.95084, 64.13565,
    54.38479, 73.82188, 64.43707, 59.17646, 65.52128, 61.39982, 58.14405, 57.00454, 64.12630, 54.31100, 61.11498,
    55.07775, 56.84934, 55.62887, 53.13705, 54.98584, 79.54697,
)  # fmt: skip
BAND_SCALE, LOUDNESS_SCALE, ZWICKER_POWER = 6.910853e-6, 0.1866055, 0.23
HIGH_PASS = ((2.740826, -5.4816519, 2.740826), (1.0, -1.9444777, 0.94597794))


class PerceptualDistance:
    """A smooth P.862.2: the same bands, loudness, disturbances and weights, without its time alignment.

    Levels are aligned and filters applied to power spectra, so the whole is a function of two short-time spectra.
    """

    def __init__(self) -> None:
        edges = np.concatenate([[0], np.cumsum(BINS_PER_BAND)])
        bands = np.zeros((256, 49))
        for band in range(49):
            bands[edges[band] : edges[band + 1], band] = BAND_FACTOR[band] * BAND_SCALE
        bands[0] = 0.0  # the standard leaves out 0 Hz
        z = np.exp(-2j * np.pi * np.arange(256) / 512)
        up, down = (np.polyval(c[::-1], z) for c in HIGH_PASS)
        centre_hz = (edges[:-1] + edges[1:]) / 2 * 31.25
        centre_bark = 6.0 * np.arcsinh(centre_hz / 600.0)
        self.bands = torch.tensor(bands * (np.abs(up / down) ** 2)[:, None], dtype=torch.float32)
        self.threshold = torch.tensor(THRESHOLD)
        exponent = ZWICKER_POWER * np.clip(6.0 / (centre_bark + 2.0), 1.0, 2.0) ** 0.15
        self.exponent = torch.tensor(exponent, dtype=torch.float32)
        edges_bark = 6.0 * np.arcsinh(edges * 31.25 / 600.0)
        self.width = torch.tensor(np.diff(edges_bark), dtype=torch.float32)
        self.window = torch.hann_window(512)
        hz = np.arange(257) * 31.25
        self.speech_band = torch.tensor((hz > 325) & (hz < 3250), dtype=torch.float32)

    def _bark(self, signal: torch.Tensor) -> torch.Tensor:
        """Band powers (batch, frames, 49) at the standard's level."""
        spectrum = torch.stft(signal, 512, 256, window=self.window, center=False, return_complex=True)
        power = (spectrum.real**2 + spectrum.imag**2).transpose(1, 2)
        level = 2.0 * (power * self.speech_band).sum(2).mean(1) / (512.0 * 192.0)  # mean square: sum of window**2 = 192
        return (power[..., :256] @ self.bands) * (1e7 / level.clamp(min=1e-9))[:, None, None]

    def _audible(self, bark: torch.Tensor, factor: float) -> torch.Tensor:
        return (bark * (bark > self.threshold * factor)).sum(2)

    def _loudness(self, bark: torch.Tensor) -> torch.Tensor:
        grown = (0.5 + 0.5 * bark / self.threshold).clamp(min=1.0) ** self.exponent - 1.0
        return LOUDNESS_SCALE * (2.0 * self.threshold) ** self.exponent * grown

    def _norm(self, disturbance: torch.Tensor, p: int) -> torch.Tensor:
        weighted, total = (disturbance.abs() + 1e-6) * self.width, self.width[1:].sum()
        return ((weighted[..., 1:] ** p).sum(2) / total) ** (1.0 / p) * total

    def disturbances(self, enhanced: torch.Tensor, clean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Symmetric and asymmetric disturbance of each pair, (batch,) each; signals are (batch, n) at 16 kHz."""
        bark, reference = self._bark(enhanced), self._bark(clean)
        speaking = (self._audible(reference, 100.0) >= 1e7)[..., None]
        mean, mean_reference = (
            (b * (b > self.threshold * 100.0) * speaking).mean(1, keepdim=True) for b in (bark, reference)
        )
        reference = reference * ((mean + 1000.0) / (mean_reference + 1000.0)).clamp(0.01, 100.0)
        ratio = (self._audible(reference, 1.0) + 5e3) / (self._audible(bark, 1.0) + 5e3)
        ratio = torch.cat([ratio[:, :1], 0.8 * ratio[:, 1:] + 0.2 * ratio[:, :-1]], 1).clamp(3e-4, 5.0)
        bark = bark * ratio[..., None]
        loud, loud_reference = self._loudness(bark), self._loudness(reference)
        difference = loud - loud_reference
        dead = 0.25 * torch.minimum(loud, loud_reference)
        difference = torch.sign(difference) * (difference.abs() - dead).clamp(min=0.0)
        added = ((bark + 50.0) / (reference + 50.0)) ** 1.2
        added = (added * (added >= 3.0)).clamp(max=12.0)
        weight = ((self._audible(reference, 1.0) + 1e5) / 1e7) ** 0.04
        symmetric = (self._norm(difference, 2) / weight).clamp(max=45.0)
        asymmetric = (self._norm(difference * added, 1) / weight).clamp(max=45.0)
        return self._over_time(symmetric), self._over_time(asymmetric)

    @staticmethod
    def _over_time(frames: torch.Tensor) -> torch.Tensor:
        seconds = (frames.unfold(1, 20, 10) ** 6).mean(2) ** (1.0 / 6.0)
        return seconds.square().mean(1).sqrt()

    def mos(self, enhanced: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """Predicted PESQ-wb of each pair, (batch,)."""
        symmetric, asymmetric = self.disturbances(enhanced, clean)
        raw = 4.5 - 0.1 * symmetric - 0.0309 * asymmetric
        return 0.999 + 4.0 / (1.0 + torch.exp(-1.3669 * raw + 3.8224))


class Intelligibility:
    """A differentiable eSTOI at 16 kHz (Jensen & Taal 2016): 17 third-octave bands from 150 Hz, segments of 375 ms."""

    def __init__(self) -> None:
        hz = np.arange(257) * 31.25
        centres = 150.0 * 2.0 ** (np.arange(17) / 3.0)
        inside = (hz >= centres[:, None] * 2 ** (-1 / 6)) & (hz < centres[:, None] * 2 ** (1 / 6))
        self.bands = torch.tensor(inside, dtype=torch.float32)
        self.window = torch.hann_window(400)

    def _segments(self, signal: torch.Tensor) -> torch.Tensor:
        spectrum = torch.stft(signal, 512, 200, 400, window=self.window, return_complex=True)
        power = spectrum.real**2 + spectrum.imag**2
        return torch.sqrt(self.bands @ power + 1e-6).unfold(2, 30, 10).permute(0, 2, 1, 3)

    @staticmethod
    def _normalised(x: torch.Tensor) -> torch.Tensor:
        for dim in (3, 2):
            x = x - x.mean(dim, keepdim=True)
            x = x / (x.norm(dim=dim, keepdim=True) + 1e-4)
        return x

    def __call__(self, enhanced: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """Correlation of each pair, (batch,), over segments within 30 dB of the loudest."""
        segments, reference = self._segments(enhanced), self._segments(clean)
        energy = (reference**2).sum((2, 3))
        heard = (energy > energy.amax(1, keepdim=True) * 1e-3).float()
        correlation = (self._normalised(segments) * self._normalised(reference)).sum((2, 3)) / 30.0
        return (correlation * heard).sum(1) / heard.sum(1)


def si_sdr_db(enhanced: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Scale-invariant signal-to-distortion ratio of each pair, dB (Le Roux et al. 2019), (batch,)."""
    share = (enhanced * clean).sum(1, keepdim=True) / (clean * clean).sum(1, keepdim=True)
    target = share * clean
    energy = (target * target).sum(1)
    return 10.0 * torch.log10(energy / (((enhanced - target) ** 2).sum(1) + 1e-6 * energy))


class CompressedSpectrum:
    """Error of spectra compressed to the power 0.3, 70 % magnitude and 30 % complex (Braun & Tashev 2021, eq. 7)."""

    def __init__(self) -> None:
        self.window = torch.hann_window(512)
        weight = 1.0 / (1.0 + torch.arange(257) / 256 * 8)
        self.weight = (weight / weight.mean())[:, None]

    def __call__(self, enhanced: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
        """Error of each pair, (batch,); signals at unit level."""
        y, c = (torch.stft(s, 512, 128, window=self.window, return_complex=True) / 30.0 for s in (enhanced, clean))
        y_size, c_size = ((s.real**2 + s.imag**2 + 2e-3) ** 0.5 for s in (y, c))
        y_root, c_root = y_size**0.3, c_size**0.3
        magnitude = (y_root - c_root) ** 2
        cosine = (y.real * c.real + y.imag * c.imag) / (y_size * c_size)
        error = magnitude + 0.6 * y_root * c_root * (1.0 - cosine)
        return (error * self.weight).mean((1, 2))
